"""Pages of Markdown, taken apart as far as their examples and references need."""

from __future__ import annotations

import dataclasses
import functools
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"

_FENCE = re.compile(r"(?P<marks>`{3,})(?P<info>[^`]*)")
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_STAGE = re.compile(r"<!-- stage: (\S+) -->")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block. `line`: of its first line of text, from 1. `language` is "" where none is named."""

    language: str
    flags: frozenset[str]
    settings: Mapping[str, str]
    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class Page:
    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Page:
        return cls(path, path.read_text(encoding="utf-8"))

    @property
    def name(self) -> str:
        return self.path.relative_to(REPOSITORY).as_posix()

    @property
    def begins_with(self) -> str | None:
        """The page whose files the stage of this one holds at first."""
        match = _STAGE.search(self.text)
        return match[1] if match else None

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Raises ValueError for a fence that is never closed."""
        return tuple(_blocks(self.text))

    @functools.cached_property
    def prose(self) -> tuple[tuple[int, str], ...]:
        """The lines outside of fenced blocks, with their numbers."""
        return tuple(_prose(self.text))

    @property
    def headings(self) -> Iterator[str]:
        return (line.lstrip("#").strip() for _, line in self.prose if re.match(r"#{1,6} ", line))

    @functools.cached_property
    def anchors(self) -> frozenset[str]:
        """As GitHub makes them of headings."""
        counts: dict[str, int] = {}
        anchors = set()
        for heading in self.headings:
            slug = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
            number = counts.get(slug, 0)
            counts[slug] = number + 1
            anchors.add(f"{slug}-{number}" if number else slug)
        return frozenset(anchors)

    @property
    def links(self) -> Iterator[tuple[int, str]]:
        """Targets of links and pictures, with the lines they stand on."""
        for number, line in self.prose:
            for match in _LINK.finditer(_CODE.sub("", line)):
                yield number, match["target"]

    @property
    def quoted(self) -> Iterator[tuple[int, str]]:
        """What stands between backticks, with the line."""
        for number, line in self.prose:
            for match in _CODE.finditer(line):
                yield number, match[1]

    @property
    def bold(self) -> Iterator[tuple[int, str]]:
        """What stands between double asterisks, with the line."""
        for number, line in self.prose:
            for match in _BOLD.finditer(_CODE.sub("", line)):
                yield number, match[1]

    def table_below(self, heading: str) -> tuple[tuple[str, ...], ...]:
        """The rows of the first table below a heading, without its head. Raises LookupError if there is none."""
        lines = [line for _, line in self.prose]
        start = next(
            (i for i, line in enumerate(lines) if line.lstrip("# ") == heading and line[:1] == "#"), None
        )
        if start is None:
            raise LookupError(f"{self.name} has no heading {heading!r}")
        rows = []
        for line in lines[start + 1 :]:
            if line.startswith("|"):
                rows.append(tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("| "))))
            elif rows or line.startswith("#"):
                break
        if len(rows) < 3:
            raise LookupError(f"{self.name} has no table below {heading!r}")
        return tuple(rows[2:])


def all_pages() -> tuple[Page, ...]:
    """README, CHANGELOG and everything in docs."""
    paths = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
    return tuple(Page.read(path) for path in paths)


def page(name: str) -> Page:
    """A page in docs."""
    return Page.read(DOCS / name)


def _blocks(text: str) -> Iterator[Block]:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        opening = _FENCE.fullmatch(lines[number].strip())
        number += 1
        if opening is None:
            continue
        start = number
        while number < len(lines) and lines[number].strip() != opening["marks"]:
            number += 1
        if number == len(lines):
            raise ValueError(f"the fence on line {start} is never closed")
        yield _block(opening["info"], "\n".join(lines[start:number]) + "\n", start + 1)
        number += 1


def _block(info: str, text: str, line: int) -> Block:
    language, *rest = shlex.split(info) or [""]
    settings = dict(word.split("=", 1) for word in rest if "=" in word)
    return Block(language, frozenset(word for word in rest if "=" not in word), settings, text, line)


def _prose(text: str) -> Iterator[tuple[int, str]]:
    marks: str | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        opening = _FENCE.fullmatch(line.strip())
        if marks is None and opening is None:
            yield number, line
        elif marks is None and opening is not None:
            marks = opening["marks"]
        elif line.strip() == marks:
            marks = None
