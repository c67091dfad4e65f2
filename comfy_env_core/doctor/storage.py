"""The store: whether it can be written, has room, shares files, and what lies about in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from comfy_env_core.building.disk_space import MIN_FREE_BYTES
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.running_job import read_running_job
from comfy_env_core.building.store_place import LENGTH_REMEDY, check_place, length_warning, long_paths_enabled
from comfy_env_core.doctor.finding import Finding, fail, ok, warn
from comfy_env_core.doctor.surroundings import Surroundings
from comfy_env_core.environments.size_text import megabytes
from comfy_env_core.environments.store import Store

_OTHER_DISK = "set COMFY_ENV_ROOT to a directory on another disk, or move the store there with move-store."
#: An environment with torch for CUDA takes about this much.
_COMFORTABLE_BYTES = 10 * 10**9


def check_store(surroundings: Surroundings) -> Iterator[Finding]:
    root = surroundings.store.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        yield fail(
            "store",
            f"{root} cannot be written: {error.strerror or error}",
            "Make it writable for you, or set COMFY_ENV_ROOT to a directory that is.",
        )
        return
    yield ok("store", str(root))
    yield _free_space(root)
    yield _hard_links(surroundings.store)
    yield from _leftovers(surroundings.store)


def _free_space(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    text = f"{megabytes(free)} free on the disk of the store"
    remedy = f"Remove what is not used with gc, or {_OTHER_DISK}"
    if free < MIN_FREE_BYTES:
        return fail("disk space", text, remedy)
    if free < _COMFORTABLE_BYTES:
        return warn("disk space", f"{text}; an environment with torch for CUDA takes several GB", remedy)
    return ok("disk space", text)


def _hard_links(store: Store) -> Finding:
    """Whether environments can share files with the package cache."""
    try:
        store.cache_dir.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=store.root, prefix=".doctor.") as directory,
            tempfile.NamedTemporaryFile(dir=store.cache_dir, prefix=".doctor.") as file,
        ):
            os.link(file.name, Path(directory) / "link")
    except OSError as error:
        return warn(
            "hard links",
            f"files of the cache cannot be linked into environments ({error.strerror or error}), so each environment "
            "takes its full size",
            f"Have the store on a disk with a file system that knows hard links (NTFS, ext4, APFS): {_OTHER_DISK}",
        )
    return ok("hard links", "environments share the files of the package cache")


def _leftovers(store: Store) -> Iterator[Finding]:
    """What killed builds and removals left behind: harmless, but it takes room."""
    unfinished = [
        environment.id
        for environment in store.environments()
        if read_running_job(environment) is None
        and any(not workspace.is_done() for workspace in environment.generations())
    ]
    trash = [path for path in store.root.glob(".*.trash") if path.is_dir()]
    told = []
    if unfinished:
        told.append(f"unfinished builds of {', '.join(unfinished)}")
    if trash:
        told.append(f"{len(trash)} half-removed director{'y' if len(trash) == 1 else 'ies'}")
    if told:
        yield warn("leftovers", " and ".join(told), "gc removes them; the next build of each does as well.")
    else:
        yield ok("leftovers", "none")


def check_place_of_environments(surroundings: Surroundings) -> Iterator[Finding]:
    """What a build would say of the place before it begins."""
    prefix = surroundings.store.environment("0" * 8).generation(1).prefix
    if not os.path.isdir(surroundings.store.root):
        return  # told by `check_store`
    try:
        check_place(surroundings.store.root, prefix, QuietReport())
    except BuildError as error:
        yield fail("place", error.message, error.remedy)
        return
    warning = None if long_paths_enabled() else length_warning(prefix)
    yield (
        ok("place", "environments can live there")
        if warning is None
        else warn("place", warning, LENGTH_REMEDY)
    )
