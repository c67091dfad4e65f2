"""Compiled once: the bytecode that the import test leaves goes into uv's cache, and from there into every environment.

uv fills a prefix with hard links to the whole of an unpacked wheel. What lies beside a module there comes along, and
Python takes it, because the link has the module's time and size, which is what bytecode is checked against (PEP 3147,
PEP 552). Without this each environment with torch takes 20 MB of its own, and seconds to compile them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from comfy_env_core.building.site_packages import site_packages

_FOLDER = "__pycache__"


def share_bytecode(prefix: Path, cache_dir: Path) -> int:
    """Links bytecode of modules that `prefix` shares with uv's caches below `cache_dir` into these; returns how many.

    Links are not made where the file system cannot; nothing but room and time depends on them. Raises OSError when
    the cache changes meanwhile.
    """
    wheels = {_identity(path): path.parents[1] for path in _metadata_of_wheels(cache_dir)}
    count = 0
    for site in site_packages(prefix):
        for metadata in site.glob("*.dist-info/METADATA"):
            wheel = wheels.get(_identity(metadata))
            if wheel is not None:
                count += sum(_link(*pair) for pair in _shared(site, wheel))
    return count


def _metadata_of_wheels(cache_dir: Path) -> Iterator[Path]:
    """Of those that uv unpacked for us, and for pixi, which has its cache inside its own."""
    for place in ("uv", "pixi/uv-cache"):
        yield from cache_dir.glob(f"{place}/archive-v*/*/*.dist-info/METADATA")


def _shared(site: Path, wheel: Path) -> Iterator[tuple[str, str]]:
    """(bytecode below `site`, its place below `wheel`), for modules that are one file in both."""
    for folder, _, names in os.walk(wheel):
        if os.path.basename(folder) == _FOLDER:
            continue
        installed = os.path.join(site, os.path.relpath(folder, wheel))
        for compiled in _listing(os.path.join(installed, _FOLDER)):
            module = f"{compiled.partition('.')[0]}.py"
            if module in names and os.path.samefile(
                os.path.join(folder, module), os.path.join(installed, module)
            ):
                yield os.path.join(installed, _FOLDER, compiled), os.path.join(folder, _FOLDER, compiled)


def _listing(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".pyc")]
    except FileNotFoundError:
        return []


def _link(source: str, place: str) -> bool:
    with contextlib.suppress(OSError):  # there already, or no links here
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.link(source, place)
        return True
    return False


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
