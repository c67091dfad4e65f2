"""Throwing away what the caches should not hold: damaged packages, and halves of downloads whose uv was killed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from comfy_env_core.building.engines.integrity import damaged_in_cache
from comfy_env_core.building.engines.uv import Uv
from comfy_env_core.building.report import Report
from comfy_env_core.environments.atomic import remove_tree

#: What uv knows of a wheel lies beside it with these endings, also of one that it has not downloaded.
_ABOUT_WHEELS = (".msgpack", ".http", ".rev", ".lock")


def cached_names(cache_dir: Path) -> frozenset[str]:
    """The (normalised) names of the packages of which uv has some wheel unpacked, in whatever version.

    Its places: `wheels-v8/index/<index>/<name>/<version>-<tags>` and `wheels-v8/pypi/<name>/…`.
    """
    return frozenset(path.parent.name for path in _wheels(cache_dir, "*", "*"))


def is_cached(name: str, version: str, cache_dir: Path) -> bool:
    """Whether uv has downloaded and unpacked a wheel of that version."""
    return any(True for _ in _wheels(cache_dir, name, f"{version}-*"))


def _wheels(cache_dir: Path, name: str, file: str) -> Iterator[Path]:
    for place in ("wheels-v*/*/*", "wheels-v*/*"):
        for path in cache_dir.glob(f"{place}/{name}/{file}"):
            if path.suffix not in _ABOUT_WHEELS and "-" in path.name:
                yield path


def forget(names: Sequence[str], uv: Uv, report: Report) -> None:
    """Removes these packages from uv's cache, and every damaged conda package from rattler's. Raises OSError.

    Environments that are built keep their files: hard links outlive the cache.
    """
    for directory in damaged_in_cache(uv.store.cache_dir / "conda" / "pkgs"):
        report.log(f"removing {directory.name} from the cache: its files are damaged")
        remove_tree(directory)
    if names:
        report.log(f"removing {', '.join(names)} from uv's cache")
        uv.run(["cache", "clean", "-q", *names], report=report, cwd=uv.store.root)


@contextlib.contextmanager
def without_half_downloads(cache_dir: Path) -> Iterator[None]:
    """Removes what a killed uv left in its cache, gigabytes for torch: of earlier builds before, of this one after it.

    Enter it with the turn at PyPI held: then the only uv beside ours is one that makes a virtual environment, and what
    that puts into the cache is gone within a second.
    """
    _remove_temporary(cache_dir, older_than_s=60.0)
    try:
        yield
    except BaseException:
        _remove_temporary(cache_dir, older_than_s=2.0)
        raise


def _remove_temporary(cache_dir: Path, older_than_s: float) -> None:
    for path in cache_dir.glob(".tmp*"):
        with contextlib.suppress(
            OSError
        ):  # gone meanwhile, or Windows still holds it: the next build tries again
            if path.is_dir() and time.time() - path.stat().st_mtime > older_than_s:
                remove_tree(path)
