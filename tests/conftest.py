"""Make ``comfy_env_core`` and the test host importable wherever pytest was started, and its fixtures known."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent

for directory in (TESTS, TESTS.parent):
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

pytest_plugins = ["host.fixtures"]
