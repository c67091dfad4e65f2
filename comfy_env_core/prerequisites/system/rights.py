"""Whether we may install system packages: as root, or by a sudo that asks for no password."""

from __future__ import annotations

import os
import shutil
import subprocess

from comfy_env_core.prerequisites.system.contract import Argv


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def shown_prefix() -> Argv:
    """What a person types before a command that needs root."""
    return () if is_root() else ("sudo",)


def silent_prefix() -> Argv | None:
    """What runs such a command without any question, None if nothing does."""
    if is_root():
        return ()
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    # `-n` makes sudo fail where it would ask.
    asked = subprocess.run((sudo, "-n", "true"), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return (sudo, "-n") if asked.returncode == 0 else None
