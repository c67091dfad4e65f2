"""The machine that an environment is built for, in pixi's words."""

from __future__ import annotations

import dataclasses
import os
import platform as system
import sys

#: (sys.platform family, machine in lower case) → name of the platform in pixi and conda.
_NAMES = {
    ("linux", "x86_64"): "linux-64",
    ("linux", "amd64"): "linux-64",
    ("linux", "aarch64"): "linux-aarch64",
    ("linux", "arm64"): "linux-aarch64",
    ("darwin", "x86_64"): "osx-64",
    ("darwin", "arm64"): "osx-arm64",
    ("win32", "amd64"): "win-64",
    ("win32", "x86_64"): "win-64",
}

#: Every platform that environments can be built for.
PLATFORM_NAMES = tuple(sorted(set(_NAMES.values())))


class UnknownPlatform(Exception):
    """No engine builds for this operating system and processor."""


@dataclasses.dataclass(frozen=True)
class Platform:
    """One operating system on one processor; `glibc` and `macos` are the versions found here ("2.36", "14.4").

    `glibc` is None off Linux and on Linux systems with another C library (musl).
    """

    name: str
    glibc: str | None = None
    macos: str | None = None

    @classmethod
    def current(cls) -> Platform:
        """This machine. Raises `UnknownPlatform` where nothing can be built (32 bit, BSD, Windows on ARM …)."""
        family = "linux" if sys.platform.startswith("linux") else sys.platform
        machine = system.machine().lower()
        name = _NAMES.get((family, machine))
        if name is None:
            raise UnknownPlatform(
                f"Environments cannot be built on {sys.platform!r} with processor {machine!r}: "
                f"supported are {', '.join(PLATFORM_NAMES)}."
            )
        return cls(name, glibc=_glibc_version(), macos=system.mac_ver()[0] or None)

    @property
    def is_linux(self) -> bool:
        return self.name.startswith("linux")

    @property
    def is_macos(self) -> bool:
        return self.name.startswith("osx")

    @property
    def is_windows(self) -> bool:
        return self.name.startswith("win")

    @property
    def selectors(self) -> tuple[str, ...]:
        """The `[target.<selector>]` names that apply here, from the most general to the most specific."""
        if self.is_windows:
            return ("win", self.name)
        return ("unix", "linux" if self.is_linux else "osx", self.name)


def platform_named(name: str) -> Platform:
    """A platform by its name, with nothing known of a machine. Raises `UnknownPlatform`."""
    if name not in PLATFORM_NAMES:
        raise UnknownPlatform(
            f"{name!r} is not a platform that environments are built for: {', '.join(PLATFORM_NAMES)}."
        )
    return Platform(name)


def _glibc_version() -> str | None:
    """Asked of the running C library; `platform.libc_ver` reads the executable, which a static Python spoils."""
    names = getattr(os, "confstr_names", {})
    if "CS_GNU_LIBC_VERSION" not in names:
        return None
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        return None  # musl knows the name but not the answer
    return text.split()[-1] if text and text.startswith("glibc ") else None
