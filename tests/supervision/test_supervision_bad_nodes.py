"""Nodes that misbehave in ways a process can: each fails by itself, is told as what it was, and the next call works."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from fakepack import node_pack, request, spec_for
from patience import PATIENCE_S, eventually
from workers import StartWorker

from comfy_env_core.supervision import Worker, WorkerCrashed
from comfy_env_core.wire import Handle, RemoteError

BEFORE = """
import ctypes, multiprocessing, os, signal, subprocess, sys, threading, time
try:
    import resource
except ImportError:
    pass
"""

BODY = """
def fine(self):
    return os.getpid()

def child_returns(self):
    child = os.fork()
    return os.getpid() if child == 0 else child

def child_raises(self):
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    return child

def child_exits(self):
    child = os.fork()
    if child == 0:
        sys.exit(3)
    return child

def wait_for(self, child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def pool(self):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])

def leak(self, limit_mb):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit_mb * 2**20, -1))
    try:
        kept = []
        while True:
            kept.append(bytearray(2**20))
    finally:
        kept = None
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))

def killed_for_memory(self):
    os.kill(os.getpid(), signal.SIGKILL)

def abort(self):
    os.abort()

def print_from_c(self):
    ctypes.CDLL(None).puts(b"from C")
    ctypes.CDLL(None).fflush(None)
    return 1

def exit(self):
    sys.exit("no licence")

def thread_dies(self):
    thread = threading.Thread(target=self.missing_method_of_a_thread)
    thread.start()
    thread.join()

def unpicklable(self):
    return (lambda: 5, threading.Lock(), (n for n in range(3)))

def use(self, function, lock, numbers):
    return function(), type(lock).__name__, list(numbers)

def close_descriptors(self):
    sys.stdout.close()
    sys.stderr.close()
    return 1

def change_signals(self):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return 1

def recurse(self):
    return self.recurse()

def raises_class_that_cannot_be_made(self):
    class Odd(Exception):
        def __init__(self, a, b):
            super().__init__()
            self.lock = threading.Lock()
        def __str__(self):
            raise RuntimeError("no text")
    raise Odd(1, 2)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, limits and signals")


@pytest.fixture
def worker(tmp_path: Path, start_worker: StartWorker) -> Worker:
    return start_worker(spec_for(node_pack(tmp_path, BODY, BEFORE)))


def run(worker: Worker, function: str, *args: Any) -> Any:
    return worker.call("run", request(worker.spec.module_name, function, *args)).result(PATIENCE_S)


@pytest.mark.parametrize(
    ("function", "code"), [("child_returns", 0), ("child_raises", 1), ("child_exits", 3)], ids=str
)
def test_a_forked_child_that_leaves_the_node_ends_there_and_disturbs_nobody(
    worker: Worker, function: str, code: int
) -> None:
    child = run(worker, function)
    assert child != worker.pid
    assert run(worker, "wait_for", child) == code
    assert run(worker, "fine") == worker.pid


def test_a_pool_of_forked_processes_works(worker: Worker) -> None:
    assert run(worker, "pool") == [1, 2]
    assert run(worker, "fine") == worker.pid


def test_memory_that_runs_out_within_a_limit_is_the_nodes_error(worker: Worker) -> None:
    with pytest.raises(MemoryError):
        run(worker, "leak", 64)
    assert run(worker, "fine") == worker.pid


def test_a_worker_that_the_system_kills_for_memory_says_so(worker: Worker) -> None:
    with pytest.raises(WorkerCrashed, match="out of memory"):
        run(worker, "killed_for_memory")
    worker.start()
    assert run(worker, "fine") == worker.pid


def test_native_code_that_gives_up_is_a_crash_with_the_python_stack(worker: Worker) -> None:
    with pytest.raises(WorkerCrashed, match=r"SIGABRT(.|\n)*in abort"):
        run(worker, "abort")


def test_sys_exit_is_the_nodes_error(worker: Worker) -> None:
    with pytest.raises(RemoteError, match="no licence") as caught:
        run(worker, "exit")
    assert type(caught.value).__name__ == "SystemExit"
    assert run(worker, "fine") == worker.pid


def test_a_thread_that_dies_is_in_the_log_and_the_node_goes_on(worker: Worker) -> None:
    with pytest.raises(AttributeError, match="missing_method_of_a_thread"):
        run(worker, "thread_dies")
    assert run(worker, "print_from_c") == 1
    assert eventually(lambda: "from C" in worker.spec.log_path.read_text(encoding="utf-8"))


def test_what_cannot_be_pickled_stays_and_is_itself_when_it_comes_home(worker: Worker) -> None:
    kept = run(worker, "unpicklable")
    assert all(issubclass(type(item), Handle) for item in kept)
    assert list(run(worker, "use", *kept)) == [5, "lock", [0, 1, 2]]
    del kept
    gc.collect()
    assert run(worker, "fine") == worker.pid


@pytest.mark.parametrize("function", ["close_descriptors", "change_signals"])
def test_a_node_that_spoils_its_process_can_still_be_called_and_stopped(
    worker: Worker, function: str
) -> None:
    assert run(worker, function) == 1
    pid = worker.pid
    assert run(worker, "fine") == pid
    worker.stop(0.5)
    assert not Path(f"/proc/{pid}").exists()


def test_endless_recursion_is_the_nodes_error(worker: Worker) -> None:
    with pytest.raises(RecursionError):
        run(worker, "recurse")
    assert run(worker, "fine") == worker.pid


def test_an_error_without_text_arrives_under_its_name(worker: Worker) -> None:
    with pytest.raises(RemoteError) as caught:
        run(worker, "raises_class_that_cannot_be_made")
    assert type(caught.value).__name__ == "Odd"
    assert "str() of the error failed: RuntimeError" in str(caught.value)
