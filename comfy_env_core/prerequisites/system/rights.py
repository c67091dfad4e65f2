"""Whether we may install system packages: as root, or by a sudo that asks for no password."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from comfy_env_core.prerequisites.system.contract import Argv

#: apt and dpkg ask nobody, and speak English, which their lines are read in.
UNATTENDED: Mapping[str, str] = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


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
    # sudo clears the environment. `-n` makes it fail where it would ask for a password.
    prefix = (sudo, "-n", "env", *(f"{name}={value}" for name, value in UNATTENDED.items()))
    asked = subprocess.run((*prefix, "true"), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return prefix if asked.returncode == 0 else None
