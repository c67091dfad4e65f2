"""Whether what a program wrote looks like what a page says: the same words, whatever the machine and the day."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Stands in a page for the rest of a line or, on a line of its own, for any number of lines.
ELLIPSIS = "…"

# What differs from machine to machine and from run to run, in the order in which it is looked for.
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+([+-]\d\d:\d\d|Z)?)?"), "<date>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<time of day>"),
    (re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8}(?![0-9A-Za-z])"), "<id>"),
    (re.compile(r"\b\d+(\.\d+)?( ?[kKMGT]i?B| bytes)\b"), "<size>"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min|h)\b"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)+(\.?[a-z]\w*|\+\w+)*\b"), "<version>"),
    (re.compile(r"\b(linux|osx|win)-(64|aarch64|arm64)\b"), "<platform>"),
    (re.compile(r"\s+"), " "),
)


def difference(expected: str, actual: str) -> str | None:
    """None if `actual` looks like `expected`, else what does not."""
    wanted = [normalised(line) for line in expected.splitlines()]
    written = [normalised(line) for line in actual.splitlines()]
    if _matches(wanted, written):
        return None
    missing = next((line for line in wanted if not any(_line_matches(line, one) for one in written)), None)
    what = f"nothing looks like {missing!r}" if missing else "there are other lines, or in another order"
    return f"{what}. It writes:\n{actual}"


def normalised(line: str) -> str:
    for pattern, name in _VOLATILE:
        line = pattern.sub(name, line)
    return line.strip()


def _matches(wanted: Sequence[str], written: Sequence[str]) -> bool:
    """The ellipses of lines are tried from the left, each for as few lines as will do."""
    if not wanted:
        return not written
    if wanted[0] == ELLIPSIS:
        return any(_matches(wanted[1:], written[skipped:]) for skipped in range(len(written) + 1))
    return bool(written) and _line_matches(wanted[0], written[0]) and _matches(wanted[1:], written[1:])


def _line_matches(wanted: str, written: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in wanted.split(ELLIPSIS))
    return re.fullmatch(pattern, written) is not None
