"""The user's home, also for a user that has none. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def user_home() -> Path:
    """The root of the file system where nobody says: a container may run as a number that passwd does not know, without
    HOME. Container runtimes set HOME to that themselves; whoever cannot write there is told to set COMFY_ENV_ROOT."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.path.abspath(os.sep))
