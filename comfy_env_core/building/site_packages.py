"""Where a prefix has its Python packages, on every system, whether conda or a virtual environment laid it out."""

from __future__ import annotations

from pathlib import Path


def site_packages(prefix: Path) -> list[Path]:
    return sorted((*prefix.glob("lib/python3*/site-packages"), *prefix.glob("Lib/site-packages")))


def dist_infos(prefix: Path) -> list[Path]:
    """The `.dist-info` directories, whoever made them, sorted."""
    return sorted(path for place in site_packages(prefix) for path in place.glob("*.dist-info"))
