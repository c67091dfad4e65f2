"""Real workers and real hosts, killed at random moments in the middle of their work."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from effort import Effort
from fakepack import RecordingServices, node_pack, request, spec_for
from patience import PATIENCE_S, eventually

from comfy_env_core.environments.states import WorkerState
from comfy_env_core.supervision import Worker, WorkerCrashed, WorkerStopped
from comfy_env_core.wire import DeadHandle, SegmentMemory

REPOSITORY = Path(__file__).resolve().parents[2]
CALLERS = 3
LONGEST_LIFE_S = 0.1
# Free segments are kept warm, and bounded: their number must not follow the number of workers.
TOLERATED_DESCRIPTORS = 12

NODE = """
def run(self, value):
    return value

def double(self, value):
    return value * 2

def ask(self, value):
    return folder_paths.get_input_directory()

def lend(self, value):
    return [Mesh() for _ in range(3)]

def use(self, value):
    return value
"""
BEFORE = """
import folder_paths

class Mesh:
    pass
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Callers:
    """Threads that call one worker until a call fails; `endings` has what each ended with."""

    def __init__(self, worker: Worker, chance: random.Random) -> None:
        self.endings: list[BaseException] = []
        self.calls = 0
        self._worker = worker
        seeds = [chance.randrange(1 << 30) for _ in range(CALLERS)]
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in seeds]
        for thread in self._threads:
            thread.start()

    def await_end(self) -> bool:
        """Whether all have ended in time."""
        deadline = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        try:
            while True:
                self._call(chance)
                self.calls += 1
        except BaseException as error:  # noqa: BLE001  # the test looks at it
            self.endings.append(error)

    def _call(self, chance: random.Random) -> None:
        functions = ("run", "double", "ask", "lend")
        array = numpy.full((256, 256), chance.random(), numpy.float32)
        name = functions[chance.randrange(len(functions))]
        pending = [self._start(name, array) for _ in range(chance.randrange(1, 4))]
        for call in pending:
            back = call.result()
            if name == "lend":
                self._start("use", back[0]).result()

    def _start(self, function: str, value: object):  # type: ignore[no-untyped-def]  # WorkerCall is not public
        return self._worker.call("run", request(self._worker.spec.module_name, function, value))


def test_worker_killed_at_any_moment_fails_every_call_and_the_next_one_starts_afresh(
    tmp_path: Path, effort: Effort
) -> None:
    chance, rounds = effort.chance("workers"), effort.of(short=20, quick=40, full=200)
    services = RecordingServices()
    services.answers["get_input_directory"] = "/input"
    memory = SegmentMemory()
    worker = Worker(spec_for(node_pack(tmp_path, NODE, BEFORE)), services, memory=memory)
    threads, trimmers, settled, calls = other_threads(), trimming_threads(), 0, 0
    for round_number in range(rounds):
        calls += kill_in_the_middle(worker, chance)
        if round_number == rounds // 4:
            settled = trimmed_descriptors(memory)
    worker.stop(1)
    assert calls > rounds, "The workers hardly did anything before they were killed"
    assert eventually(lambda: other_threads() <= threads), threading.enumerate()
    # Those of other tests' memory may still be there, or end meanwhile.
    assert len(trimming_threads() - trimmers) <= 1
    assert eventually(lambda: trimmed_descriptors(memory) <= settled + TOLERATED_DESCRIPTORS), (
        settled,
        open_descriptors(),
    )


def trimmed_descriptors(memory: SegmentMemory) -> int:
    """Those of segments that are kept warm for the next use left out: their number depends on the moment."""
    memory.trim()
    return open_descriptors()


def kill_in_the_middle(worker: Worker, chance: random.Random) -> int:
    """One life of a worker; how many calls it answered."""
    worker.start(30)
    pid = worker.pid
    assert pid is not None
    callers = Callers(worker, chance)
    if chance.random() < 0.75:  # else while it still imports its pack and its libraries
        assert eventually(lambda: callers.calls > 0), callers.endings
    time.sleep(chance.random() * LONGEST_LIFE_S)
    os.kill(pid, signal.SIGKILL)
    assert callers.await_end(), "A call hangs though its worker was killed"
    for error in callers.endings:
        # A call made after the news is refused; so is a handle of an object that died with the worker.
        assert isinstance(error, (WorkerCrashed, WorkerStopped, DeadHandle)), repr(error)
        assert not isinstance(error, WorkerCrashed) or error.exit_code == -signal.SIGKILL, repr(error)
    assert any(isinstance(error, WorkerCrashed) for error in callers.endings), callers.endings
    assert eventually(lambda: worker.state is WorkerState.CRASHED)
    assert not is_running(pid)
    assert worker.statistics.open_calls == 0
    return callers.calls


HOST = """
import random, sys, time
sys.path[:0] = [{repository!r}, {tests!r}, {here!r}]
from pathlib import Path
from comfy_env_core.supervision import Worker
from fakepack import RecordingServices, spec_for
from test_supervision_kill import Callers
services = RecordingServices()
services.answers["get_input_directory"] = "/input"
worker = Worker(spec_for(Path({pack!r})), services)
worker.start(30)
callers = Callers(worker, random.Random({seed}))
if {seed} % 4:
    while not callers.calls:
        time.sleep(0.001)
print(worker.pid, flush=True)
callers.await_end()
"""


def test_host_killed_at_any_moment_takes_its_worker_along(tmp_path: Path, effort: Effort) -> None:
    chance = effort.chance("hosts")
    pack = node_pack(tmp_path, NODE, BEFORE)
    for _ in range(effort.of(short=4, quick=10, full=50)):
        with host_with_a_worker(pack, chance.randrange(1 << 30)) as (host, pid):
            time.sleep(chance.random() * LONGEST_LIFE_S)
            assert host.poll() is None, "The host ended before it was killed"
            host.kill()
            host.wait(PATIENCE_S)
            assert eventually(lambda pid=pid: not is_running(pid)), f"Worker {pid} outlived its host"  # type: ignore[misc]


@contextlib.contextmanager
def host_with_a_worker(pack: Path, seed: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """(a process that calls a worker without end, the worker's process id)."""
    here = str(Path(__file__).resolve().parent)
    tests = str(REPOSITORY / "tests")
    code = HOST.format(repository=str(REPOSITORY), tests=tests, here=here, pack=str(pack), seed=seed)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as host:
        try:
            assert host.stdout is not None
            yield host, int(host.stdout.readline())
        finally:
            host.kill()


def trimming_threads() -> set[threading.Thread]:
    """Threads that wait for shared memory to be idle: one for a worker's memory, however often it died."""
    return {thread for thread in threading.enumerate() if thread.name == "comfy-env trim"}


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def open_descriptors() -> int:
    """How many descriptors are open here, once garbage is collected."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def other_threads() -> int:
    """How many threads there are apart from the one that gives idle memory back after a while."""
    return sum(thread.name != "comfy-env trim" for thread in threading.enumerate())
