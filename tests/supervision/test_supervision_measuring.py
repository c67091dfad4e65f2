"""What the processes of workers take, by looks that cost little."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from patience import eventually

from comfy_env_core.supervision import measuring
from comfy_env_core.supervision.measuring import (
    COUNT_EVERY_S,
    LONGEST_INTERVAL_S,
    LOOK_FOR_CHILDREN_EVERY_S,
    Meter,
    ProcessFigures,
)

SPIN = "while True: pass"
SLEEP = "import sys; sys.stdin.read()"
#: A child of its own spins; it sleeps itself.
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SPIN!r}]); sys.stdin.read()"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter(clock)


class Processes:
    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, code: str) -> int:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        self._started.append(process)
        return process.pid

    def end(self, pid: int) -> None:
        for process in self._started:
            if process.pid == pid and process.poll() is None:
                for child in psutil.Process(pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.communicate()

    def end_all(self) -> None:
        for process in self._started:
            self.end(process.pid)


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.end_all()


def figures(meter: Meter, pid: int) -> ProcessFigures:
    return meter.look([pid])[pid]


def test_a_process_that_is_gone_has_no_figures(meter: Meter, processes: Processes) -> None:
    pid = processes.start(SLEEP)
    assert pid in meter.look([pid])
    processes.end(pid)
    assert meter.look([pid]) == {}


def test_a_process_that_goes_between_two_steps_of_a_look_hides_no_other(
    meter: Meter, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, there = processes.start(SLEEP), processes.start(SLEEP)
    original = measuring._cpu_seconds

    def asked_too_late(process: psutil.Process) -> float:
        if process.pid == gone:
            raise psutil.NoSuchProcess(gone)
        return original(process)

    monkeypatch.setattr(measuring, "_cpu_seconds", asked_too_late)
    assert set(meter.look([gone, there])) == {there}


def test_a_share_of_the_processor_needs_two_looks_and_some_time_between(
    meter: Meter, clock: Clock, processes: Processes
) -> None:
    pid = processes.start(SPIN)
    first = figures(meter, pid)
    assert first.cpu_percent is None
    assert eventually(lambda: figures(meter, pid).cpu_seconds >= first.cpu_seconds + 0.2)
    assert figures(meter, pid).cpu_percent is None, "the clock stands still"
    clock.now += 2.0
    later = figures(meter, pid)
    assert later.cpu_percent == pytest.approx(100 * (later.cpu_seconds - first.cpu_seconds) / 2.0, abs=1)
    clock.now += 0.1
    assert figures(meter, pid).cpu_percent == later.cpu_percent, "two pages that look in turn see the same"


def test_a_share_of_long_ago_is_not_one_of_now(meter: Meter, clock: Clock, processes: Processes) -> None:
    pid = processes.start(SPIN)
    figures(meter, pid)
    clock.now += LONGEST_INTERVAL_S + 1
    assert figures(meter, pid).cpu_percent is None
    clock.now += 2
    assert figures(meter, pid).cpu_percent is not None


def test_what_a_process_started_counts_with_it(meter: Meter, clock: Clock, processes: Processes) -> None:
    pid = processes.start(PARENT)
    alone = figures(meter, pid).cpu_seconds
    assert eventually(lambda: bool(psutil.Process(pid).children()))

    def with_child() -> bool:
        clock.now += LOOK_FOR_CHILDREN_EVERY_S
        return figures(meter, pid).cpu_seconds > alone + 0.3

    assert eventually(with_child)
    assert sum(psutil.Process(pid).cpu_times()[:2]) < 0.3


def test_own_memory_is_counted_now_and_then(
    meter: Meter, clock: Clock, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    original = measuring.process_memory
    monkeypatch.setattr(measuring, "process_memory", lambda pid: (counted.append(pid), original(pid))[1])
    pid = processes.start(SLEEP)
    for _ in range(10):
        taken = figures(meter, pid)
        assert taken.private_bytes is not None and 0 < taken.private_bytes <= taken.rss_bytes
    assert counted == [pid]
    clock.now += COUNT_EVERY_S
    figures(meter, pid)
    assert counted == [pid, pid]


def test_a_look_does_not_wait_until_all_are_counted(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    meter = Meter(clock)

    def slowly(pid: int) -> None:
        clock.now += 1.0

    monkeypatch.setattr(measuring, "process_memory", slowly)
    pids = [processes.start(SLEEP) for _ in range(4)]
    before = clock.now
    assert len(meter.look(pids)) == 4
    assert clock.now - before == 1.0, "one counted, and the budget was used up"


def test_several_threads_may_look_at_once(meter: Meter, clock: Clock, processes: Processes) -> None:
    pids = [processes.start(SLEEP) for _ in range(3)]

    def look(_: int) -> set[int]:
        clock.now += 1
        return set(meter.look(pids))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(look, range(200))) == [set(pids)] * 200


def test_a_look_at_twenty_processes_is_quick(processes: Processes) -> None:
    """In time of the processor: what else the machine does is not our matter."""
    meter = Meter()
    pids = [processes.start(SLEEP) for _ in range(20)]
    meter.look(pids)
    began_s = time.thread_time()
    meter.look(pids)
    assert time.thread_time() - began_s < 0.03
