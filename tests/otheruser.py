"""Becoming somebody else: a child of the test that gives up its privileges, its home and its name."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

#: A number that no passwd knows.
NOBODY = 54321

needs_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="becoming another user takes root"
)


def as_nobody(function: Callable[[], str]) -> str:
    """What `function` returns in a process of a user without home, passwd entry and rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.environ.pop("HOME", None)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, function().encode())
        except BaseException:  # noqa: BLE001 – the end of the child's world
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def let_through(directory: Path) -> None:
    """Opens the test's own directory to everybody; skips where something above it is closed."""
    for place in (directory, *directory.parents):
        if place.stat().st_mode & 0o005 != 0o005:
            if place.stat().st_uid != 0 or "pytest" not in str(place):
                pytest.skip(f"{place} lets nobody through")
            place.chmod(0o755)
