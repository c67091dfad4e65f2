"""What a wheel's file name says: which distribution and version it holds, and on which machine it runs.

Source: PEP 427 (file names), 425 (tags), 600 (manylinux). `wheel_tags` ranks for the running interpreter; here the
interpreter is one that is yet to be made, of another version than ours perhaps.
"""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import unquote

from comfy_env_core.building.platform import Platform
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.wheel_tags import LEGACY_MANYLINUX

_LEGACY_GLIBC = {name: minor for minor, name in LEGACY_MANYLINUX.items()}


@dataclasses.dataclass(frozen=True)
class WheelName:
    """`name` normalised; `version` without and `local` without its "+": "2.8.3" and "cu128torch2.8"."""

    filename: str
    name: str
    version: str
    local: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    systems: tuple[str, ...]

    @classmethod
    def parse(cls, filename: str) -> WheelName | None:
        """None for what is no wheel's name. A "+" may be written as in URLs."""
        parts = unquote(filename).removesuffix(".whl").split("-")
        if not filename.endswith(".whl") or len(parts) not in (5, 6):
            return None
        version, _, local = parts[1].partition("+")
        tags = (tuple(part.split(".")) for part in parts[-3:])
        return cls(unquote(filename), normalised_name(parts[0]), version, local, *tags)

    @property
    def release(self) -> tuple[int, ...]:
        """For comparing: the numbers of the version, without zeros at the end ("2.13.0" and "2.13" are one)."""
        numeric = re.split(r"[a-z]", self.version, maxsplit=1)[0]
        return _trimmed(tuple(int(number) for number in re.findall(r"\d+", numeric)))

    @property
    def is_final(self) -> bool:
        return re.search(r"(a|b|rc|dev)\d", self.version) is None

    def runs_on(self, python: tuple[int, int] | None, platform: Platform) -> bool:
        """Whether CPython `python` on `platform` can use it; None for a Python that is not chosen yet."""
        on_system = any(_system_fits(tag, platform) for tag in self.systems)
        return on_system and (python is None or any(self._python_fits(tag, python) for tag in self.pythons))

    def allowed_by(self, range_text: str) -> bool:
        """Whether "==2.8.0" or "==2.8.*" names this version; any other range is left to the resolver."""
        match = re.fullmatch(r"={2,3}\s*(\d[\w.]*?)(\.\*)?(?:\+[\w.]+)?", range_text.strip())
        if match is None:
            return self.is_final
        wanted = tuple(int(number) for number in re.findall(r"\d+", match[1]))
        if match[2]:
            return (*self.release, *(0,) * len(wanted))[: len(wanted)] == wanted
        return self.version == match[1] or (self.is_final and self.release == _trimmed(wanted))

    def _python_fits(self, tag: str, python: tuple[int, int]) -> bool:
        match = re.fullmatch(r"(cp|py)(\d)(\d*)", tag)
        if match is None or int(match[2]) != python[0]:
            return False
        minor = int(match[3]) if match[3] else None
        if match[1] == "py" or "abi3" in self.abis:
            return minor is None or minor <= python[1]
        own = {"none", f"cp{python[0]}{python[1]}"}  # "cp313t" is for the build without a global lock
        return minor == python[1] and bool(own & set(self.abis))


def _trimmed(numbers: tuple[int, ...]) -> tuple[int, ...]:
    while numbers and numbers[-1] == 0:
        numbers = numbers[:-1]
    return numbers


#: The processor as wheels write it.
_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "osx-64": "x86_64", "osx-arm64": "arm64"}


def _system_fits(tag: str, platform: Platform) -> bool:
    """A machine whose C library or macOS is not known gets the benefit of the doubt."""
    if tag == "any":
        return True
    if platform.is_windows:
        return tag == "win_amd64"
    family, _, machine = tag.partition("_")
    if platform.is_macos:
        return family == "macosx" and machine.endswith((f"_{_MACHINES[platform.name]}", "_universal2"))
    if not machine.endswith(_MACHINES[platform.name]):
        return False
    if family == "linux":
        return True
    needed = re.match(r"2_(\d+)_", machine)
    minor = int(needed[1]) if family == "manylinux" and needed else _LEGACY_GLIBC.get(family)
    own = re.match(r"2\.(\d+)", platform.glibc or "")
    return minor is not None and (own is None or minor <= int(own[1]))
