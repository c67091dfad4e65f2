"""Which wheels this interpreter can use, best first. Stdlib only: `packaging` is not there when this is needed."""

from __future__ import annotations

import functools
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator

#: Old names of manylinux levels (PEP 513, 571, 599) by glibc minor version.
LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def rank(filename: str, tags: tuple[str, ...]) -> int | None:
    """The place of a wheel's best tag in `tags` (0 = best), None if no tag fits or `filename` is no wheel's."""
    parts = filename.removesuffix(".whl").split("-")
    if not filename.endswith(".whl") or len(parts) not in (5, 6):
        return None
    pythons, abis, platforms = (part.split(".") for part in parts[-3:])
    mine = {f"{python}-{abi}-{system}" for python in pythons for abi in abis for system in platforms}
    return next((place for place, tag in enumerate(tags) if tag in mine), None)


@functools.lru_cache(maxsize=1)
def current_tags() -> tuple[str, ...]:
    """The tags of the running CPython, best first (PEP 425, 600, 656)."""
    major, minor = sys.version_info[:2]
    platforms = tuple(_platforms())
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    own = f"cp{major}{minor}"
    tags = [f"{own}-{own}{'t' if free_threaded else ''}-{system}" for system in platforms]
    if not free_threaded:  # the free-threaded build has no stable ABI before 3.15
        for older in range(minor, 1, -1):
            tags += [f"cp{major}{older}-abi3-{system}" for system in platforms]
    tags += [f"{own}-none-{system}" for system in platforms]
    tags += [f"py{major}-none-{system}" for system in platforms]
    tags += [f"{own}-none-any", f"py{major}{minor}-none-any", f"py{major}-none-any", "py2.py3-none-any"]
    return tuple(tags)


def _platforms() -> Iterator[str]:
    machine = platform.machine().lower()
    if sys.platform.startswith("linux"):
        yield from _linux_platforms({"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine))
    elif sys.platform == "darwin":
        yield from _macos_platforms(machine)
    else:
        yield sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _linux_platforms(machine: str) -> Iterator[str]:
    if "musl" in (sysconfig.get_config_var("SOABI") or ""):
        # the C library's own version cannot be asked for without running it; 1.2 is from 2020
        yield from (f"musllinux_1_{minor}_{machine}" for minor in (2, 1, 0))
        return
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return
    newest = version.rpartition("2.")[2]
    for minor in range(int(newest) if newest.isdigit() else 0, 4, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in LEGACY_MANYLINUX:
            yield f"{LEGACY_MANYLINUX[minor]}_{machine}"
    yield f"linux_{machine}"


def _macos_platforms(machine: str) -> Iterator[str]:
    numbers = [int(part) for part in platform.mac_ver()[0].split(".")[:2]]
    major, minor = [*numbers, 0, 0][:2]
    if (major, minor) == (10, 16):  # what a Python built with an old SDK is told on macOS 11 and later
        major = 11
    for release in range(major, 10, -1):
        for kind in (machine, "universal2"):
            yield f"macosx_{release}_0_{kind}"
    if machine == "x86_64":
        for release in range(16 if major > 10 else minor, 5, -1):
            for kind in ("x86_64", "universal2", "intel"):
                yield f"macosx_10_{release}_{kind}"
