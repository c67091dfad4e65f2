"""Throwing away what the caches hold of damaged packages, so that they are fetched anew."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_env_core.building.engines.integrity import damaged_in_cache
from comfy_env_core.building.engines.uv import Uv
from comfy_env_core.building.report import Report
from comfy_env_core.environments.atomic import remove_tree


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
