"""Why a build did not succeed, as data that a panel can act on and a sentence that a person can."""

from __future__ import annotations

import enum
import errno
from pathlib import Path
from typing import TypedDict


class BuildCause(enum.Enum):
    """The kinds of failure that ask for different actions; the values appear in JSON."""

    CONFIG = "config"  #: the file asks for something that cannot be expressed or that contradicts itself
    NO_SUCH_PACKAGE = "no_such_package"  #: no index or channel knows the name or the version
    NO_MATCHING_WHEEL = "no_matching_wheel"  #: the package exists, but not for this Python and platform
    CONFLICT = "conflict"  #: each requirement can be met, all of them together cannot
    NO_COMPILER = "no_compiler"  #: a package has to be compiled here and no compiler is installed
    NETWORK = "network"
    DISK_FULL = "disk_full"
    PERMISSION = "permission"
    NO_PYTHON = "no_python"  #: the interpreter version that the file names cannot be had
    NO_CHANNEL = "no_channel"  #: conda packages are wanted and no conda channel answers
    KILLED = "killed"  #: a tool of ours ended by a signal that we did not send (often: out of memory)
    CANCELLED = "cancelled"
    IMPORT_FAILED = "import_failed"  #: everything was installed, but it does not import
    TIMED_OUT = "timed_out"
    INTERNAL = "internal"  #: our own mistake


class BuildErrorJson(TypedDict):
    """The JSON shape of a `BuildError`."""

    cause: str
    message: str
    remedy: str
    log_path: str | None
    tail: list[str]


class BuildError(Exception):
    """A build stopped. `message` says what was attempted, on what, and what happened; `remedy` what to do next.

    `log_path` is the full log, `tail` its last telling lines (both may be added later by `with_log`).
    """

    def __init__(
        self,
        cause: BuildCause,
        message: str,
        remedy: str,
        log_path: Path | None = None,
        tail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(cause, message, remedy, log_path, tail)
        self.cause = cause
        self.message = message
        self.remedy = remedy
        self.log_path = log_path
        self.tail = tail

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def with_log(self, log_path: Path, tail: tuple[str, ...] = ()) -> BuildError:
        """The same failure, pointing at its log. Keeps a tail that was chosen with more knowledge."""
        error = BuildError(
            self.cause, self.message, self.remedy, self.log_path or log_path, self.tail or tail
        )
        error.__cause__ = self.__cause__ or self
        return error

    def as_json(self) -> BuildErrorJson:
        return {
            "cause": self.cause.value,
            "message": self.message,
            "remedy": self.remedy,
            "log_path": str(self.log_path) if self.log_path else None,
            "tail": list(self.tail),
        }


_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def disk_error(error: OSError, attempted: str, path: Path) -> BuildError:
    """The `BuildError` for a refusal of the disk. `attempted` starts the sentence: "Creating the environment"."""
    message = f"{attempted} in {str(path)!r} failed: {error.strerror or error}."
    if error.errno in _DISK_FULL:
        remedy = (
            "Free some disk space, or set COMFY_ENV_ROOT to a directory on a larger disk, then build again."
        )
        cause = BuildCause.DISK_FULL
    elif error.errno in _FORBIDDEN:
        remedy = (
            "Make the directory writable for you, or set COMFY_ENV_ROOT to one that is, then build again."
        )
        cause = BuildCause.PERMISSION
    else:
        remedy = "Check the disk and the log, then build again; COMFY_ENV_ROOT chooses another directory."
        cause = BuildCause.INTERNAL
    built = BuildError(cause, message, remedy)
    built.__cause__ = error
    return built
