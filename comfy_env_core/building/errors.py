"""Why a build did not succeed, as data that a panel can act on and a sentence that a person can."""

from __future__ import annotations

import enum
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict


class BuildCause(enum.Enum):
    """The kinds of failure that ask for different actions; the values appear in JSON."""

    CONFIG = "config"  #: the file asks for something that cannot be expressed or that contradicts itself
    NO_SUCH_PACKAGE = "no_such_package"  #: no index or channel knows the name or the version
    NO_MATCHING_WHEEL = "no_matching_wheel"  #: the package exists, but not for this Python and platform
    CONFLICT = "conflict"  #: each requirement can be met, all of them together cannot
    NO_COMPILER = "no_compiler"  #: a package has to be compiled here and no compiler is installed
    SOURCE_BUILD = "source_build"  #: a package has to be built here, and its own build failed
    NETWORK = "network"  #: no answer, or one that broke off: the one cause that may be gone a moment later
    PROXY = "proxy"  #: the proxy cannot be reached or refuses us
    CERTIFICATE = "certificate"  #: the server's certificate is not trusted here
    CREDENTIALS = "credentials"  #: the server wants a login, or refuses the one that is configured
    CHECKSUM = "checksum"  #: the server sends another file than the one that was published
    DISK_FULL = "disk_full"
    PERMISSION = "permission"
    NO_PYTHON = "no_python"  #: the interpreter version that the file names cannot be had
    NO_CHANNEL = "no_channel"  #: conda packages are wanted and no conda channel answers
    OUT_OF_MEMORY = "out_of_memory"  #: the kernel says that it ended a process of this machine for its memory
    KILLED = "killed"  #: a tool of ours ended by a signal that we did not send
    CANCELLED = "cancelled"
    IMPORT_FAILED = "import_failed"  #: everything was installed, but it does not import
    DAMAGED_FILES = "damaged_files"  #: what was installed is not what the package's own list of files says
    TIMED_OUT = "timed_out"
    OTHER_TOOL = (
        "other_tool"  #: apt, brew or git could not do what it was asked, for a reason in its own words
    )
    INTERNAL = "internal"  #: our own mistake


#: What went wrong lies between this machine and a server.
NETWORK_CAUSES = frozenset(
    {
        BuildCause.NETWORK,
        BuildCause.PROXY,
        BuildCause.CERTIFICATE,
        BuildCause.CREDENTIALS,
        BuildCause.CHECKSUM,
    }
)

_AUTHOR = "If the pack is not yours, show this to its author."

#: What to do about each cause where nothing more is known than the cause.
REMEDIES: Mapping[BuildCause, str] = {
    BuildCause.CONFIG: f"Correct that line of the pack's comfy-env.toml, then build again. {_AUTHOR}",
    BuildCause.NO_SUCH_PACKAGE: "Correct the name or the version in the pack's comfy-env.toml, or add the index "
    f"or channel that has it. {_AUTHOR}",
    BuildCause.NO_MATCHING_WHEEL: "Ask for another version of it in the pack's comfy-env.toml, or for a Python "
    f"that it exists for. {_AUTHOR}",
    BuildCause.CONFLICT: f"Loosen one of these versions in the pack's comfy-env.toml. {_AUTHOR}",
    BuildCause.NO_COMPILER: "Install a compiler (Debian and Ubuntu: `sudo apt install build-essential`; macOS: "
    "`xcode-select --install`; Windows: Visual Studio Build Tools with C++), then build again; or ask in "
    "comfy-env.toml for a version that needs none.",
    BuildCause.SOURCE_BUILD: "The last lines say what it misses; install that, or ask in comfy-env.toml for a "
    f"version that comes ready-made. {_AUTHOR}",
    BuildCause.NETWORK: "Check the internet connection, then build again. Behind a company network, name its "
    "mirror in pip's or uv's settings (index-url), for conda packages in pixi's (mirrors).",
    BuildCause.PROXY: "Check the proxy's address, user and password (HTTPS_PROXY, or `proxy` in pip's settings); "
    "NO_PROXY names servers that are reached without it. Then start ComfyUI anew.",
    BuildCause.CERTIFICATE: "Is the computer's clock right? Behind a company network or a virus scanner that "
    "reads encrypted traffic, name its certificate in SSL_CERT_FILE, or as `cert` in pip's settings. Then start "
    "ComfyUI anew.",
    BuildCause.CREDENTIALS: "Give the right user and password or token, in the index URL of pip's or uv's "
    "settings or in ~/.netrc. Then start ComfyUI anew.",
    BuildCause.CHECKSUM: "It was thrown away. The mirror or proxy serves another file than was published: ask "
    "whoever runs it, or use another index.",
    BuildCause.DISK_FULL: "Free some disk space, or set COMFY_ENV_ROOT to a directory on a larger disk, then "
    "build again.",
    BuildCause.PERMISSION: "Make the directory writable for you, or set COMFY_ENV_ROOT to one that is, then "
    "build again.",
    BuildCause.NO_PYTHON: "Install that Python, or name one with COMFY_ENV_PYTHON, then build again.",
    BuildCause.NO_CHANNEL: "Connect to the internet, or name a mirror of the channel under [mirrors] in pixi's "
    "config.toml, then build again.",
    BuildCause.OUT_OF_MEMORY: "Close other programs (a ComfyUI that holds a large model, a browser), then build "
    "again.",
    BuildCause.KILLED: "Build again. If nobody ended it by hand, the system most likely ran out of memory: close "
    "other programs first.",
    BuildCause.CANCELLED: "Build it again when you want it.",
    BuildCause.IMPORT_FAILED: "If a system library is named, install it; else ask in comfy-env.toml for another "
    f"version. {_AUTHOR}",
    BuildCause.DAMAGED_FILES: "Check the disk for errors, then build again.",
    BuildCause.TIMED_OUT: "See the log for where it stood; build again if the network or the disk was slow.",
    BuildCause.OTHER_TOOL: "The last lines are its own words.",
    BuildCause.INTERNAL: "Build again; if it stays, report it with the log.",
}


class BuildErrorJson(TypedDict):
    """The JSON shape of a `BuildError`."""

    cause: str
    message: str
    remedy: str
    log_path: str | None
    tail: list[str]


class BuildError(Exception):
    """A build stopped. `message` says what was attempted, on what, and what happened; `remedy` what to do next
    (left out: that of the cause).

    `log_path` is the full log, `tail` its last telling lines (both may be added later by `with_log`).
    """

    def __init__(
        self,
        cause: BuildCause,
        message: str,
        remedy: str | None = None,
        log_path: Path | None = None,
        tail: tuple[str, ...] = (),
    ) -> None:
        remedy = REMEDIES[cause] if remedy is None else remedy
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


class DamagedFiles(BuildError):
    """Packages whose files are not what they were when they were published: a cache or a disk lost something.

    `names`: which, as far as known. An engine that forgets its copies of them gets them anew.
    """

    def __init__(self, names: tuple[str, ...], message: str, tail: tuple[str, ...] = ()) -> None:
        super().__init__(BuildCause.DAMAGED_FILES, message, tail=tail)
        self.names = names


def _whose(path: Path) -> str:
    """A sentence for what lies in another user's directory: a store is used by many, and built into by its owner."""
    existing = next((place for place in (path, *path.parents) if os.path.exists(place)), None)
    if existing is None or not hasattr(os, "geteuid"):
        return ""
    owner = existing.stat().st_uid
    return f" {str(existing)!r} belongs to another user (number {owner})." if owner != os.geteuid() else ""


_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def disk_error(error: OSError, attempted: str, path: Path) -> BuildError:
    """The `BuildError` for a refusal of the disk. `attempted` starts the sentence: "Creating the environment"."""
    message = f"{attempted} in {str(path)!r} failed: {error.strerror or error}."
    if error.errno in _DISK_FULL:
        built = BuildError(BuildCause.DISK_FULL, message)
    elif error.errno in _FORBIDDEN:
        built = BuildError(BuildCause.PERMISSION, f"{message}{_whose(path)}")
    else:
        remedy = "Check the disk and the log, then build again; COMFY_ENV_ROOT chooses another directory."
        built = BuildError(BuildCause.INTERNAL, message, remedy)
    built.__cause__ = error
    return built


def internal_error(error: Exception) -> BuildError:
    """The `BuildError` for what should not have been raised: a mistake of ours, told as one."""
    built = BuildError(
        BuildCause.INTERNAL,
        f"Building failed because of a mistake in comfy-env manager: {type(error).__name__}: {error}.",
        "Please report it with the log of ComfyUI.",
    )
    built.__cause__ = error
    return built
