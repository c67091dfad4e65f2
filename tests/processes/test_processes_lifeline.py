"""A child, and what it started, goes when the process that owns it goes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[2]
STUCK_IN_C = "import re; re.match('(a+)+$', 'a' * 60 + 'b')"

OWNER = """
import os, subprocess, sys, time
sys.path.insert(0, {repository!r})
from pathlib import Path
from comfy_env_core.processes import child as child_module
if {watcher}:
    from comfy_env_core.processes import _macos
    child_module.Tether = _macos.Tether
code = '''
import subprocess, sys
grandchild = subprocess.Popen(["sleep", "100"])
print(grandchild.pid, flush=True)
{busy}
'''
child = child_module.spawn([sys.executable, "-c", code], env=dict(os.environ), cwd=None,
                           stdout=subprocess.PIPE, stderr=None)
print(child.pid, child.popen.stdout.readline().decode().strip(), flush=True)
{then}
"""


@contextlib.contextmanager
def owner(busy: str, then: str, *, watcher: bool) -> Iterator[subprocess.Popen[str]]:
    code = textwrap.dedent(OWNER).format(repository=str(REPOSITORY), busy=busy, then=then, watcher=watcher)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as host:
        try:
            yield host
        finally:
            host.kill()


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def seconds_until_gone(pids: list[int], patience_s: float = PATIENCE_S) -> float:
    start = time.monotonic()
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() - start < patience_s, [pid for pid in pids if is_running(pid)]
        time.sleep(0.01)
    return time.monotonic() - start


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and uses Linux signals")


@pytest.mark.parametrize("watcher", [False, True], ids=["signal", "watching shell"])
@pytest.mark.parametrize("busy", [STUCK_IN_C, "import time; time.sleep(100)"], ids=["stuck in C", "asleep"])
def test_killed_owner_takes_child_and_grandchild_along_within_a_second(busy: str, watcher: bool) -> None:
    with owner(busy, "time.sleep(100)", watcher=watcher) as host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        assert len(pids) == 2 and all(is_running(pid) for pid in pids)
        host.send_signal(signal.SIGKILL)
        host.wait()
        assert seconds_until_gone(pids) < 1.0


def test_owner_that_returns_normally_leaves_nothing_behind() -> None:
    with owner("import time; time.sleep(100)", "os._exit(0)", watcher=False) as host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        host.wait()
        assert seconds_until_gone(pids) < 1.0


def test_watching_shell_leaves_when_the_child_has_ended() -> None:
    with owner("pass", "child.wait(60); print(child._tether._watcher, flush=True)", watcher=True) as host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        assert host.stdout.readline().strip() == "None"
        assert host.wait(PATIENCE_S) == 0
        assert seconds_until_gone(pids) < 1.0


def test_lifeline_is_not_inherited_by_unrelated_children() -> None:
    count_open = "print(len(os.listdir('/proc/self/fd')), flush=True)"
    with owner("import time; time.sleep(100)", count_open, watcher=False) as host:
        assert host.stdout is not None
        host.stdout.readline()
        # 0, 1, 2, the output pipe, our end of the line, and the listing itself
        assert int(host.stdout.readline()) <= 6
