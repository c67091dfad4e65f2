"""Version ranges as the file writes them, good enough to ask an interpreter or an index; tools do the resolving."""

from __future__ import annotations

import dataclasses
import re

_CLAUSE = re.compile(r"(===?|!=|~=|<=|>=|<|>)?\s*v?(\d+(?:\.\d+)*)([^,*]*)(\.\*)?")


@dataclasses.dataclass(frozen=True)
class VersionRange:
    """ "*", "3.10" (that and everything below it: 3.10.13), "==1.2.3", ">=3.10,<3.12" …"""

    text: str

    def accepts(self, version: str) -> bool:
        """Whether the release `version` is inside. Only the numbers count: 2.0rc1 and 2.0+cpu are taken for 2.0."""
        match = re.match(r"\d+(?:\.\d+)*", version)
        if match is None:
            return False
        release = tuple(int(part) for part in match[0].split("."))
        return all(_accepts(clause.strip(), release) for clause in self.text.split(","))


@dataclasses.dataclass(frozen=True)
class PythonWanted:
    """A plan's `python`: "3.10" (the series), "3.10.13" (that release) or a range such as ">=3.10,<3.12"."""

    text: str

    @property
    def minor(self) -> str | None:
        """ "3.10" if exactly one series will do, None for a range."""
        match = re.fullmatch(r"(\d+\.\d+)(\.\d+)?", self.text)
        return match[1] if match else None

    @property
    def conda_spec(self) -> str:
        """The requirement in conda's words: a bare "3.10" would mean the release 3.10.0 there."""
        if re.fullmatch(r"\d+\.\d+", self.text):
            return f"{self.text}.*"
        return f"=={self.text}" if self.minor else self.text

    def accepts(self, version: str) -> bool:
        """Whether the release `version` ("3.10.13") will do."""
        return VersionRange(self.text).accepts(version)


def _accepts(clause: str, release: tuple[int, ...]) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        return clause in ("*", "")
    operator = match[1]
    wanted = tuple(int(part) for part in match[2].split("."))
    start = (release + (0,) * len(wanted))[: len(wanted)]
    if operator in (None, "==", "==="):
        return start == wanted
    if operator == "!=":
        return start != wanted
    if operator == "~=":
        return start >= wanted and start[: len(wanted) - 1] == wanted[:-1]
    if operator == ">=":
        return start >= wanted
    if operator == "<=":
        return start <= wanted
    width = max(len(release), len(wanted))
    full, mine = (part + (0,) * (width - len(part)) for part in (wanted, release))
    return mine > full if operator == ">" else mine < full
