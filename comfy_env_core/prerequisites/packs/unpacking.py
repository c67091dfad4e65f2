"""Unpacking an archive from the network: every file ends inside the directory, and the sum has a bound."""

from __future__ import annotations

import dataclasses
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from comfy_env_core.building.errors import BuildCause, BuildError, disk_error

_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Generous for a pack's source with a few models, small enough for any disk."""

    archive_bytes: int = 1 << 30
    unpacked_bytes: int = 4 << 30
    files: int = 50_000


def unpack(archive: Path, directory: Path, bounds: Bounds, check: Callable[[], None]) -> tuple[str, ...]:
    """Unpacks a zip archive into `directory`, which it makes; returns the names of its files.

    Raises BuildError: CHECKSUM for an archive that is damaged or not to be trusted, DISK_FULL, PERMISSION, and what
    `check` raises, which is called between pieces.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            for member in members:
                _refuse_trick(member)
            _refuse_excess(members, bounds)
            left_bytes = bounds.unpacked_bytes
            for member in members:
                left_bytes -= _write(opened, member, directory, left_bytes, check)
            return tuple(member.filename for member in members)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        # RuntimeError: zipfile's word for an encrypted member.
        raise _refused(f"it cannot be read ({error})") from error
    except OSError as error:
        raise disk_error(error, "Unpacking a pack", directory) from error


def _write(
    opened: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    directory: Path,
    left_bytes: int,
    check: Callable[[], None],
) -> int:
    """Counts what comes out rather than what the archive says will."""
    path = directory / member.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(member) as source, open(path, "xb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            check()
            written += len(chunk)
            if written > left_bytes:
                raise _refused("it unpacks to more than it says")
            target.write(chunk)
    if member.external_attr >> 16 & stat.S_IXUSR:
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return written


def _refuse_trick(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name).parts
    kind = stat.S_IFMT(member.external_attr >> 16)
    if (
        not parts
        or name.startswith("/")
        or "\\" in name
        or ":" in name
        or any(part in ("..", ".git") or part != part.rstrip(". ") for part in parts)
        or any(ord(character) < 32 for character in name)
    ):
        raise _refused(f"it holds {name!r}, which is no path inside a pack")
    if kind not in (0, stat.S_IFREG):
        raise _refused(f"{name!r} in it is not a plain file")


def _refuse_excess(members: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    if not members:
        raise _refused("it is empty")
    if len(members) > bounds.files:
        raise _refused(f"it holds {len(members):,} files, more than {bounds.files:,}")
    total = sum(member.file_size for member in members)
    if total > bounds.unpacked_bytes:
        raise _refused(f"it unpacks to {total:,} bytes, more than {bounds.unpacked_bytes:,}")
    names = {member.filename.casefold() for member in members}
    if len(names) < len(members):
        raise _refused("two of its files have one name")


def _refused(reason: str) -> BuildError:
    return BuildError(
        BuildCause.CHECKSUM,
        f"The archive of the pack was thrown away: {reason}.",
        "Try again; if it stays, show this to the author of the pack.",
    )
