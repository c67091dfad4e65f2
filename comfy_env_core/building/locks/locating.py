"""Where the files of a lock are to be had here: under the address in the lock, or at the user's own index."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.locks.model import IndexedFile, PypiPackage
from comfy_env_core.building.simple_index import IndexFile, offered_files
from comfy_env_core.building.user_settings import UserSettings


def located(
    packages: Iterable[PypiPackage], base: Path, settings: UserSettings, fetcher: Fetcher
) -> tuple[PypiPackage, ...]:
    """The packages with an address for each file. A user with an index of his own gets the same files from there.

    `base`: what directories in the lock are relative to. Names and checksums decide; nothing is resolved. Raises
    BuildError: NO_SUCH_PACKAGE for a file that is nowhere, CHECKSUM where the index has another file of that name,
    NETWORK if it does not answer.
    """
    locate = functools.partial(_located, base=base, settings=settings, fetcher=fetcher)
    with concurrent.futures.ThreadPoolExecutor(8, "comfy-env-locating") as executor:
        return tuple(executor.map(locate, packages))


def has_own_index(settings: UserSettings) -> bool:
    """Whether PyPI's own file server is not what this user installs from."""
    return settings.no_index or (
        settings.index_url is not None and urlsplit(settings.index_url).hostname != "pypi.org"
    )


def _located(package: PypiPackage, base: Path, settings: UserSettings, fetcher: Fetcher) -> PypiPackage:
    if "directory" in package.source:
        table = package.source["directory"]
        here = {**table, "path": str((base / table["path"]).absolute())}
        return dataclasses.replace(package, source={"directory": here})
    is_elsewhere = has_own_index(settings) and package.index is None
    if not is_elsewhere and all(file.url for file in package.files):
        return package
    offered = {file.filename: file for file in offered_files(package.name, settings, fetcher)}
    found = [_found(file, offered.get(file.filename)) for file in package.files]
    usable = tuple(file for file in found if file is not None)
    if usable or not package.files:
        return dataclasses.replace(package, files=usable)
    changed = sorted(offered.keys() & {file.filename for file in package.files})
    if changed:
        raise BuildError(
            BuildCause.CHECKSUM,
            f"The lock names {changed[0]!r} with sha256 {package.files[0].sha256}, and your package index offers "
            "another file of that name.",
            "Report this to whoever runs the index: it serves another file than was published.",
        )
    raise BuildError(
        BuildCause.NO_SUCH_PACKAGE,
        f"The lock names {package.files[0].filename!r}, which your package index does not have.",
        "Let the index mirror that file, or put it into a directory and name that in pip's find-links setting.",
    )


def _found(file: IndexedFile, offered: IndexFile | None) -> IndexedFile | None:
    if offered is not None and offered.sha256 in (None, file.sha256):
        return dataclasses.replace(file, url=offered.url)
    return file if file.url and offered is None else None
