"""Pinned wheels, installed into a directory of ours without pip. Stdlib only.

Used for what we need ourselves: the engines' packages and the few libraries of ComfyUI's side. Every file that may be
installed stands in `engines/pins.json` with its sha256 (made by `tools/pin_wheels.py`), so that any mirror is as good
as the original: it is only asked for bytes, never for what to install.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.building.fetching import Fetcher, NotThere
from comfy_env_core.building.simple_index import IndexFile, offered_files
from comfy_env_core.building.user_settings import UserSettings, local_path
from comfy_env_core.building.wheel_tags import current_tags, rank

STAMP_NAME = ".complete"
_PINS_PATH = Path(__file__).parent / "engines" / "pins.json"


@dataclasses.dataclass(frozen=True)
class Pinned:
    """One exact version of a project. `sha256s`: wheel file name → sha256 of every file that may be installed."""

    name: str
    version: str
    sha256s: Mapping[str, str]

    def best_filename(self, tags: tuple[str, ...]) -> str | None:
        """The wheel that fits these tags best, None if none does."""
        ranked = {name: place for name in self.sha256s if (place := rank(name, tags)) is not None}
        return min(ranked, key=lambda name: ranked[name]) if ranked else None


@functools.lru_cache(maxsize=1)
def load_pins() -> Mapping[str, Pinned]:
    """The vendored table by project name. JSON shape: {name: {"version": str, "files": {file name: sha256}}}."""
    table = json.loads(_PINS_PATH.read_text(encoding="utf-8"))
    return {name: Pinned(name, entry["version"], entry["files"]) for name, entry in table.items()}


def fetch_wheel(
    pinned: Pinned,
    settings: UserSettings,
    directory: Path,
    fetcher: Fetcher,
    tags: tuple[str, ...] | None = None,
) -> Path:
    """Downloads (or copies) the best wheel of `pinned` into `directory` and returns its path, checksum verified.

    Raises BuildError: NO_MATCHING_WHEEL if none was pinned for this interpreter, NO_SUCH_PACKAGE if no index has it,
    NETWORK, DISK_FULL, PERMISSION.
    """
    tags = current_tags() if tags is None else tags
    filename = pinned.best_filename(tags)
    if filename is None:
        raise BuildError(
            BuildCause.NO_MATCHING_WHEEL,
            f"Installing {pinned.name} {pinned.version} failed: no pinned wheel fits this Python ({tags[0]}).",
            "Run ComfyUI with a CPython release from 3.10 on, on Linux, macOS or Windows.",
        )
    path = directory / filename
    for offer in offered_files(pinned.name, settings, fetcher):
        if offer.filename == filename and offer.sha256 in (None, pinned.sha256s[filename]):
            with contextlib.suppress(NotThere):
                _fetch(offer, path, pinned.sha256s[filename], fetcher)
                return path
    raise BuildError(
        BuildCause.NO_SUCH_PACKAGE,
        f"Installing {pinned.name} {pinned.version} failed: {filename!r} with the pinned checksum is not on "
        f"{_places(settings)}.",
        "Let the index mirror that file, or put it into a directory and name that in pip's find-links setting.",
    )


def install_wheels(
    requirements: Sequence[Pinned], target: Path, settings: UserSettings, fetcher: Fetcher | None = None
) -> None:
    """Fills `target` with the wheels; it appears in one rename, with its stamp, or not at all.

    Does nothing if the stamp is there already. Two processes may do this at once: the first rename wins, the other's
    copy is thrown away. Raises BuildError as `fetch_wheel` does.
    """
    if os.path.isfile(target / STAMP_NAME):
        return
    fetcher = fetcher or Fetcher(settings)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise disk_error(error, "Installing our own packages", target) from error
    try:
        filled = scratch / "filled"
        filled.mkdir()
        for pinned in requirements:
            unpack_wheel(fetch_wheel(pinned, settings, scratch, fetcher), filled)
        (filled / STAMP_NAME).write_text(
            "".join(f"{p.name} {p.version}\n" for p in requirements), encoding="utf-8"
        )
        _move_into_place(filled, target)
    except OSError as error:
        raise disk_error(error, "Installing our own packages", target) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)  # what a virus scanner holds open is small and hidden


def unpack_wheel(wheel: Path, target: Path) -> None:
    """Unpacks a wheel for use from `sys.path`: scripts go to `target/bin`, executable; headers are left out.

    Raises BuildError (NETWORK) if it is no zip file or names a place outside `target`.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                place = _place_of(member.filename, wheel)
                if place is None or member.is_dir():
                    continue
                path = target / place
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(path, "wb") as destination:
                    shutil.copyfileobj(source, destination)
                if place.parts[0] == "bin" or (member.external_attr >> 16) & stat.S_IXUSR:
                    path.chmod(0o755)
    except (zipfile.BadZipFile, EOFError) as error:
        raise BuildError(
            BuildCause.NETWORK,
            f"Unpacking {wheel.name!r} failed: {error}.",
            "Build again; if it stays, the mirror serves a damaged file.",
        ) from error


def _place_of(member: str, wheel: Path) -> PurePosixPath | None:
    """Where a member of the archive goes (PEP 427: the `.data` directory spreads over the install scheme)."""
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member or ":" in member:
        raise BuildError(
            BuildCause.NETWORK,
            f"Unpacking {wheel.name!r} failed: the member {member!r} lies outside.",
            "Report this to whoever runs the package index.",
        )
    if not path.parts or not path.parts[0].endswith(".data"):
        return path
    if len(path.parts) < 3 or path.parts[1] == "headers":
        return None
    rest = PurePosixPath(*path.parts[2:])
    return PurePosixPath("bin") / rest if path.parts[1] == "scripts" else rest


def _fetch(offer: IndexFile, path: Path, sha256: str, fetcher: Fetcher) -> None:
    """Local files go through the same checksum: urllib opens `file:` URLs as well."""
    if urlsplit(offer.url).scheme == "file" and not Path(local_path(offer.url)).is_file():
        raise NotThere(offer.url)
    fetcher.download(offer.url, path, sha256)


def _move_into_place(filled: Path, target: Path) -> None:
    for leftover in _leftovers(target):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        os.rename(filled, target)
    except OSError:
        if not (target / STAMP_NAME).is_file():  # otherwise another process was faster, which is as good
            raise


def _leftovers(target: Path) -> Iterator[Path]:
    if target.is_dir() and not (target / STAMP_NAME).is_file():
        yield target


def _places(settings: UserSettings) -> str:
    count = len(settings.extra_index_urls) + len(settings.find_links)
    main = urlsplit(settings.main_index_url or "").hostname or "the configured find-links"
    return f"{main} or the {count} further places configured" if count else main
