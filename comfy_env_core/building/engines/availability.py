"""For which Pythons and systems a project has files, in words; and whether one of them fits here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from comfy_env_core.building.engines.version_range import VersionRange
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.simple_index import IndexFile
from comfy_env_core.building.wheel_names import WheelName

#: Pythons that wheels are looked for: the oldest that any index still has, to some that are not out yet.
_MINORS = range(5, 30)
_MACOS = {"arm64": "macOS (Apple)", "x86_64": "macOS (Intel)", "universal2": "macOS"}
_WINDOWS = {"win_amd64": "Windows", "win32": "Windows (32 bit)", "win_arm64": "Windows (ARM)"}


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a file has to run. `python`: "3.11.7", "3.11" where no more is known, or a range, which takes any."""

    python: str
    platform: Platform

    def __str__(self) -> str:
        return f"Python {'.'.join(self.python.split('.')[:2])} on {self.platform.name}"

    def takes(self, file: IndexFile) -> bool:
        """Whether the wheel runs there, or the source may be built there."""
        series = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)?", self.python)
        # The newest release of a series takes all that any of it does.
        full = self.python if series is None or series[3] else f"{self.python}.99"
        if series and file.requires_python and not VersionRange(file.requires_python).accepts(full):
            return False
        wheel = WheelName.parse(file.filename)
        if wheel is None:
            return not file.filename.endswith(".whl")
        return series is None or wheel.runs_on((int(series[1]), int(series[2])), self.platform)


def version_of(file: IndexFile) -> str:
    """The version in a wheel's or an archive's name; "" for a name of neither kind."""
    wheel = WheelName.parse(file.filename)
    if wheel is not None:
        return wheel.version
    return re.sub(r"\.(tar\.\w+|tgz|zip)$", "", file.filename).rpartition("-")[2]


def newest_version(files: Iterable[IndexFile]) -> str:
    """The highest final version among the files, else the highest."""
    versions = {version for file in files if re.match(r"\d", version := version_of(file))}
    final = {version for version in versions if re.fullmatch(r"[\d.]+(\.?post\d+)?", version)}
    return max(
        final or versions, key=lambda version: [int(n) for n in re.findall(r"\d+", version)], default=""
    )


def exists_for(files: Sequence[IndexFile], name: str, target: Target) -> str:
    """What the newest of these files are made for, as a sentence: for which other Pythons here, or for which systems.

    "On linux-64, numpy 2.1.0 exists for Python 3.9, 3.10." or "numpy 2.1.0 exists for Python 3.9 on Windows, macOS."
    """
    newest = newest_version(files)
    of_newest = [file for file in files if version_of(file) == newest]
    wheels = [wheel for file in of_newest if (wheel := WheelName.parse(file.filename)) is not None]
    here = [wheel for wheel in wheels if any(wheel.runs_on((3, minor), target.platform) for minor in _MINORS)]
    if here and _pythons(here):
        return f"On {target.platform.name}, {name} {newest} exists for {_pythons(here)}."
    return f"{name} {newest} exists for {_everywhere(of_newest, wheels)}."


def _everywhere(files: Sequence[IndexFile], wheels: Sequence[WheelName]) -> str:
    systems = sorted({_system(tag) for wheel in wheels for tag in wheel.systems})
    requires = sorted({file.requires_python for file in files if file.requires_python})
    pythons = _pythons(wheels) or (f"Python {requires[0]}" if requires else "")
    return " on ".join(filter(None, (pythons, ", ".join(systems)))) or "nothing that has a wheel"


def _pythons(wheels: Iterable[WheelName]) -> str:
    series = set()
    is_from = False
    for wheel in wheels:
        is_from |= "abi3" in wheel.abis
        for tag in wheel.pythons:
            match = re.fullmatch(r"cp(\d)(\d+)", tag)
            if match:
                series.add((int(match[1]), int(match[2])))
    words = ", ".join(f"{major}.{minor}" for major, minor in sorted(series))
    return f"Python {words}{' and newer' if is_from else ''}" if words else ""


def _system(tag: str) -> str:
    if tag in _WINDOWS:
        return _WINDOWS[tag]
    if tag == "any":
        return "every system"
    family, _, rest = tag.partition("_")
    machine = next(
        (name for name in ("x86_64", "aarch64", "arm64", "universal2") if tag.endswith(name)), rest
    )
    if family == "macosx":
        return _MACOS.get(machine, f"macOS {machine}")
    glibc = re.match(r"2_(\d+)_", rest)
    if family.startswith("manylinux"):
        return f"Linux {machine}" + (f" with glibc 2.{glibc[1]}" if glibc and int(glibc[1]) > 28 else "")
    return f"Linux {machine} with musl" if family == "musllinux" else f"Linux {machine}"
