"""Stopping a child: politely, then firmly, then for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from patience import PATIENCE_S

from comfy_env_core.processes import Child, clean_environment, spawn, stop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(100)"


@pytest.fixture
def started() -> Iterator[list[Child]]:
    children: list[Child] = []
    yield children
    for child in children:
        child.kill_tree()
        child.wait(PATIENCE_S)
        if child.popen.stdout is not None:
            child.popen.stdout.close()


def run(started: list[Child], code: str) -> Child:
    child = spawn(
        [sys.executable, "-c", code], env=dict(os.environ), cwd=None, stdout=subprocess.PIPE, stderr=None
    )
    started.append(child)
    return child


def first_line(child: Child) -> str:
    assert child.popen.stdout is not None
    return child.popen.stdout.readline().decode().strip()


def test_program_that_does_not_exist_is_an_os_error_and_leaks_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    with pytest.raises(FileNotFoundError):
        spawn(["/no/such/program"], env={}, cwd=None, stdout=None, stderr=None)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


def test_child_that_ignores_sigterm_is_killed(started: list[Child]) -> None:
    child = run(started, DEAF)
    first_line(child)
    assert stop(child, ask=lambda: None, grace_s=0.1) == -signal.SIGKILL


def test_ladder_goes_on_when_asking_fails(started: list[Child]) -> None:
    def ask() -> None:
        raise BrokenPipeError("gone")

    child = run(started, "import time; print('up', flush=True); time.sleep(100)")
    first_line(child)
    assert stop(child, ask=ask, grace_s=0.1) == -signal.SIGTERM


def test_child_that_leaves_when_asked_keeps_its_exit_code(started: list[Child]) -> None:
    child = run(started, "import sys; print('up', flush=True); sys.exit(7)")
    assert stop(child, ask=lambda: None, grace_s=5) == 7


def test_leftover_grandchild_is_killed_when_its_parent_ends(started: list[Child]) -> None:
    child = run(started, "import subprocess; print(subprocess.Popen(['sleep', '100']).pid, flush=True)")
    grandchild = int(first_line(child))
    assert child.wait(PATIENCE_S) == 0
    deadline = time.monotonic() + 2
    while True:
        try:
            os.kill(grandchild, 0)
        except ProcessLookupError:
            return
        if sys.platform == "linux":
            with open(f"/proc/{grandchild}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_wait_gives_none_while_the_child_runs(started: list[Child]) -> None:
    child = run(started, "import time; time.sleep(100)")
    assert child.poll() is None
    assert child.wait(0.05) is None


def test_environment_loses_foreign_tool_settings_and_keeps_the_rest() -> None:
    base = {
        "UV_INDEX_URL": "x",
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": "/x",
        "CONDA_PREFIX": "/c",
        "PIXI_HOME": "/p",
    }
    base.update({"RATTLER_CACHE_DIR": "/r", "VIRTUAL_ENV": "/v", "LD_PRELOAD": "lib.so", "HOME": "/h"})
    assert clean_environment(base, {"PYTHONNOUSERSITE": "1"}) == {
        "LD_PRELOAD": "lib.so",
        "HOME": "/h",
        "PYTHONNOUSERSITE": "1",
    }
