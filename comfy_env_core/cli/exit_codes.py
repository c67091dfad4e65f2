"""What every command returns to the shell."""

from __future__ import annotations

from collections.abc import Mapping

FINE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
INTERRUPTED = 130
BROKEN_PIPE = 141

#: For `--help`.
MEANINGS: Mapping[int, str] = {
    FINE: "everything asked for was done",
    FAILED: "something failed; the last lines say what, and what to do",
    USAGE: "the command line was wrong",
    NOT_FOUND: "no pack, environment or custom_nodes directory of that name",
    INTERRUPTED: "interrupted by Ctrl+C",
    BROKEN_PIPE: "the reader of the output went away",
}


class CommandError(Exception):
    """A command cannot go on. The text is for the user: what was attempted, what is wrong, what to do."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code
