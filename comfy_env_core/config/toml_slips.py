"""Lines that are not TOML, and what their authors meant: the slips of published files, each with the line corrected."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .requirement_lines import NotARequirement, read_line
from .values import inline

GENERAL = "Correct this line; texts stand in quotes, and a key or section may appear only once"

_KEY = r"[A-Za-z0-9_.\"'-]+"
_ASSIGNMENT = re.compile(rf"({_KEY})\s*=\s*(.+)")
_UNQUOTED_VERSION = re.compile(r"(?:(?:[<>!~=]=|[<>^=])\s*)?\d[\w.*+!<>=~, ]{0,60}|\*")
_UNQUOTED_TEXT = re.compile(r"[A-Za-z./~][^\"'\[\]{}=]*")
_BARE_ITEM = re.compile(r"[A-Za-z0-9][\w.<>=!~*-]*")
_RANGE = re.compile(r"\*|[<>=!~][^\s;,]*(\s*,\s*[^\s;,]+)*")
_STRINGS_AND_COMMENTS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|#.*")
_TYPOGRAPHIC = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'"})


def remedy(lines: Sequence[str], number: int) -> str:
    """What to do about line `number` (from 1), at which a TOML parser stopped."""
    above, here = lines[: number - 1], lines[number - 1].strip() if number <= len(lines) else ""
    for slip in _SLIPS:
        if found := slip(above, here, lines[number:]):
            return found
    return GENERAL


def _twice(above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    """The same section once more or, within a section, the same key."""
    is_header = here.startswith("[")
    if not is_header and "=" not in here:
        return None
    key = _key(here)
    for number in range(len(above), 0, -1):
        candidate = above[number - 1].strip()
        if candidate.startswith("[") and not is_header:
            return None
        if _key(candidate) == key and (is_header or "=" in candidate):
            if is_header:
                return f"{key} begins on line {number} already: put the keys of both below one of the two"
            return f"{key} stands on line {number} already: keep one of the two lines"
    return None


def _key(line: str) -> str:
    return line.partition("#" if line.startswith("[") else "=")[0].strip()


def _open_list(above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    """A list that was never closed: the parser stops at whatever comes next, or at the end of the file."""
    if (match := _ASSIGNMENT.fullmatch(here)) and match[2].startswith("[") and "]" not in match[2]:
        return f"Close the list: {here}]"
    if here and not here.startswith("[") and not _ASSIGNMENT.fullmatch(here):
        return None
    for number in range(len(above), 0, -1):
        if _ASSIGNMENT.fullmatch(above[number - 1].strip()):
            unquoted = [_STRINGS_AND_COMMENTS.sub("", line) for line in above[number - 1 :]]
            depth = sum(line.count("[") - line.count("]") for line in unquoted)
            return f"Close the list that begins on line {number} with a bracket: ]" if depth > 0 else None
    return None


def _typographic_quotes(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    plain = here.translate(_TYPOGRAPHIC)
    return f"Write it with straight quotes: {plain}" if plain != here else None


def _unclosed_header(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    match = re.fullmatch(rf"\[({_KEY})\s*(#.*)?", here)
    return f"Close the bracket: [{match[1]}]" if match else None


def _missing_comma(above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    """An item of a list on a line of its own, and no comma behind the one above."""
    if not here.startswith(('"', "'")) or not above:
        return None
    before = re.sub(r"\s+#.*$", "", above[-1]).rstrip()
    if before.endswith(('"', "'")):
        return f"Put a comma after {before.strip()} on line {len(above)}"
    return None


def _requirement(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    """A line of requirements.txt, or one with its extras in the name."""
    match = re.fullmatch(r"([\w.-]+\[[^\]]+\])\s*=\s*[\"']?([^\"'#]*)[\"']?\s*(?:#.*)?", here)
    text = f"{match[1]}{'' if match[2] in ('*', '') else match[2]}" if match else here
    if re.search(r"(?<![<>=!~])=(?!=)", text) or ":" in text.partition("@")[0]:
        return None
    try:
        line = read_line(text)
    except NotARequirement:
        return None
    if not isinstance(line.requirement, str):
        return f"Write {line.name} = {inline(line.requirement)}"
    version = re.sub(r"\s*([<>=!~]+)\s*", r"\1", line.requirement)
    return f"Write {line.name} = {inline(version)}" if _RANGE.fullmatch(version) else None


def _colon(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    match = re.fullmatch(r"[\"']?([\w-]+)[\"']?\s*:\s*(.+?),?", here)
    return f"Write {match[1]} = {match[2]}" if match and not here.startswith("{") else None


def _open_table(_above: Sequence[str], here: str, below: Sequence[str]) -> str | None:
    """An inline table over several lines, which TOML 1.0 does not know."""
    match = _ASSIGNMENT.fullmatch(here)
    if match is None or not match[2].startswith("{") or "}" in match[2]:
        return None
    joined = here
    for line in below[:20]:
        joined += " " + re.sub(r"\s+#.*$", "", line).strip()
        if "}" in line:
            return f"Write it on one line: {re.sub(r',? *}', ' }', joined)}"
    return f"Close the table on the same line: {here} }}"


def _open_text(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    match = _ASSIGNMENT.fullmatch(here)
    if match is None or match[2][0] not in "\"'" or match[2].startswith(('"""', "'''")):
        return None
    quote = match[2][0]
    return f"Close the text: {here}{quote}" if match[2].count(quote) == 1 else None


def _unopened_text(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    match = re.fullmatch(rf"({_KEY})\s*=\s*([^\"'\[{{]+)([\"'])\s*(#.*)?", here)
    return f"Open the text with a quote: {match[1]} = {match[3]}{match[2]}{match[3]}" if match else None


def _missing_equals(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    match = re.fullmatch(r"([\w.-]+)\s*([\"'][^\"']*[\"'])\s*(#.*)?", here)
    return f"Write {match[1]} = {match[2]}" if match else None


def _two_on_a_line(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    match = re.fullmatch(rf"({_KEY}\s*=\s*(?:\"[^\"]*\"|'[^']*'))\s*,?\s*([^\s#,].*)", here)
    return f"Write two lines: {match[1]}, and below it {match[2]}" if match and "=" in match[2] else None


def _backslashes(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    if "\\" not in here:
        return None
    forward = re.sub(r"\\+", "/", here)
    match = _ASSIGNMENT.fullmatch(forward)
    if match and match[2][0] not in "\"'[{":
        forward = f'{match[1]} = "{match[2]}"'
    return f"Write paths with forward slashes: {forward}"


def _unquoted(_above: Sequence[str], here: str, _below: Sequence[str]) -> str | None:
    match = _ASSIGNMENT.fullmatch(re.sub(r"\s+#.*$", "", here))
    if match is None:
        return None
    key, value = match.groups()
    if _UNQUOTED_VERSION.fullmatch(value):
        return f'Put the version in quotes: {key} = "{value.strip()}"'
    if value.startswith("[") and value.endswith("]"):
        items = [item.strip() for item in value[1:-1].split(",") if item.strip()]
        if all(_BARE_ITEM.fullmatch(item) or item[0] in "\"'" for item in items):
            listed = ", ".join(item if item[0] in "\"'" else f'"{item}"' for item in items)
            return f"Put each in quotes: {key} = [{listed}]"
    if _UNQUOTED_TEXT.fullmatch(value):
        return f'Put the text in quotes: {key} = "{value.strip()}"'
    return None


_SLIPS: tuple[Callable[[Sequence[str], str, Sequence[str]], str | None], ...] = (
    _open_list,
    _twice,
    _typographic_quotes,
    _unclosed_header,
    _missing_comma,
    _open_table,
    _open_text,
    _unopened_text,
    _missing_equals,
    _two_on_a_line,
    _backslashes,
    _requirement,
    _colon,
    _unquoted,
)
