"""Which program manages the packages of this machine."""

from __future__ import annotations

import platform
import sys

from comfy_env_core.prerequisites.system import apt, homebrew
from comfy_env_core.prerequisites.system.contract import SystemPackages


def this_system() -> SystemPackages | None:
    """None where packs' names of system packages mean nothing: on Windows, and on Linux without apt."""
    if sys.platform == "darwin":
        brew = homebrew.find_brew()
        return homebrew.HomebrewPackages(brew) if brew else None
    if sys.platform == "linux" and apt.is_here():
        return apt.AptPackages()
    return None


def concerns_this_system(section: str) -> bool:
    """Whether packages of [apt] or [brew] are asked for on a machine like this."""
    return {"apt": sys.platform == "linux", "brew": sys.platform == "darwin"}[section]


def why_nobody_knows(names: tuple[str, ...]) -> str:
    """What to tell where `this_system` is None and names are asked for."""
    listed = ", ".join(names)
    if sys.platform == "darwin":
        return f"Homebrew is not installed (see https://brew.sh); the pack asks for {listed}"
    try:
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "this Linux")
    except OSError:
        distribution = "this Linux"
    return (
        f"{distribution} has no apt, and the names are Debian's: {listed}. Install what corresponds to them with "
        "the package manager of this system"
    )
