"""Workers live together: a limit on their number, idle ones that have to go, and what is told of them."""

from __future__ import annotations

import logging
import os
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fakepack import RecordingServices, node_pack, request, spec_for
from patience import PATIENCE_S, eventually

from comfy_env_core.environments.states import WorkerState
from comfy_env_core.supervision import IdlePolicy, Service, Worker, WorkerCrashed, WorkerPool, WorkerSpec
from comfy_env_core.supervision.idling import GIB, SystemMemory
from comfy_env_core.wire import DeadHandle

BODY = """
    def run(self):
        import os
        return os.getpid()
    def remember(self):
        self.seen = 1
    def make(self):
        class Mesh:
            pass
        return Mesh()
    def wait(self):
        import time
        print("waiting now", flush=True)
        time.sleep(100)
    def ask(self):
        import sys
        home = sys.modules["folder_paths"].__loader__._home
        return home.ask("other")
    def eat(self):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
"""
PLENTY = SystemMemory(20 * GIB, 32 * GIB)
SHORT = SystemMemory(1, 32 * GIB)

MakePool = Callable[..., WorkerPool]


@pytest.fixture
def make_pool(services: RecordingServices) -> Iterator[MakePool]:
    pools: list[WorkerPool] = []

    def make(memory: SystemMemory = PLENTY, look_every_s: float = 60.0, **policy: Any) -> WorkerPool:
        pool = WorkerPool(
            services, policy=IdlePolicy(**policy), system=lambda: memory, look_every_s=look_every_s
        )
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.stop_all(1)


@pytest.fixture
def specs(tmp_path: Path) -> dict[str, WorkerSpec]:
    """Three packs with the same nodes."""
    return {name: spec_for(node_pack(tmp_path / name, BODY), site_id=name, pack_name=name) for name in "abc"}


def run(pool: WorkerPool, spec: WorkerSpec, function: str = "run") -> Any:
    return pool.call(spec, "run", request(spec.module_name, function)).result(PATIENCE_S)


def running(pool: WorkerPool) -> set[str]:
    return {worker.spec.site_id for worker in pool.workers() if worker.is_alive}


def test_the_limit_ends_the_worker_that_was_used_longest_ago(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    pool = make_pool(max_workers=2)
    for name in ("a", "b", "a", "c"):
        run(pool, specs[name])
    assert running(pool) == {"a", "c"}
    ended = next(worker for worker in pool.workers() if worker.spec.site_id == "b")
    assert "only 2 may run at once" in str(ended.statistics.last_end)
    assert run(pool, specs["b"]) > 0, "it starts again by itself"


def test_the_limit_spares_nodes_that_remember_something(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    pool = make_pool(max_workers=2)
    run(pool, specs["a"], "remember")
    run(pool, specs["b"])
    run(pool, specs["c"])
    assert running(pool) == {"a", "c"}


def test_a_busy_pool_exceeds_the_limit_and_says_so(
    make_pool: MakePool, specs: dict[str, WorkerSpec], caplog: pytest.LogCaptureFixture
) -> None:
    """To wait for a place could take for ever: the busy worker may be waiting for this very call."""
    pool = make_pool(max_workers=1)
    with caplog.at_level(logging.WARNING):
        pool.call(specs["a"], "run", request(specs["a"].module_name, "wait"))
        assert run(pool, specs["b"]) > 0
    assert running(pool) == {"a", "b"}
    assert "limit of workers, 1, is exceeded by 1 for b" in caplog.text


def test_another_policy_counts_at_once(make_pool: MakePool, specs: dict[str, WorkerSpec]) -> None:
    """Nobody waits for the next time that the caretaker looks, which is a minute away."""
    pool = make_pool()
    run(pool, specs["a"])
    pool.follow(IdlePolicy(max_workers=1, idle_timeout_s=1e-9))
    assert eventually(lambda: not running(pool))
    run(pool, specs["b"])
    run(pool, specs["c"])
    assert "b" not in running(pool)


def test_a_node_that_waits_for_another_workers_node_gets_its_answer_in_spite_of_the_limit(
    make_pool: MakePool, specs: dict[str, WorkerSpec], services: RecordingServices
) -> None:
    pool = make_pool(max_workers=1)
    services.more["other"] = Service(lambda asker: run(pool, specs["b"]))
    before = "import folder_paths\n"
    pack = node_pack(specs["a"].pack_dir.parents[1] / "asks", BODY, before)
    spec = spec_for(pack, site_id="asks", pack_name="asks")
    assert run(pool, spec, "ask") > 0


def test_objects_that_comfyui_holds_keep_their_worker_whatever_the_pressure(
    make_pool: MakePool, specs: dict[str, WorkerSpec], caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(SHORT, max_workers=1, idle_timeout_s=0.01)
    mesh = run(pool, specs["a"], "make")
    assert pool.running("a").statistics.objects == 1  # type: ignore[union-attr]
    run(pool, specs["b"])
    with caplog.at_level(logging.INFO):
        assert eventually(lambda: (pool.look(), running(pool))[1] == {"a"})  # type: ignore[func-returns-value]
    assert "holds 1 of its objects" in caplog.text
    del mesh
    assert eventually(lambda: pool.running("a").statistics.objects == 0)  # type: ignore[union-attr]
    pool.look()
    assert running(pool) == set()


def test_an_idle_worker_goes_after_its_time_and_the_log_says_why(
    make_pool: MakePool, specs: dict[str, WorkerSpec], caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(look_every_s=0.05, idle_timeout_s=0.2)
    with caplog.at_level(logging.INFO):
        first = run(pool, specs["a"])
        reason = "The worker of a was stopped: it had nothing to do for 0.2 s"
        assert eventually(lambda: reason in caplog.text)
    assert not psutil.pid_exists(first)
    assert run(pool, specs["a"]) != first


def test_a_busy_worker_is_not_idle_however_long_it_takes(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    pool = make_pool(SHORT, idle_timeout_s=0.01)
    pool.call(specs["a"], "run", request(specs["a"].module_name, "wait"))
    pool.look()
    assert running(pool) == {"a"}


def test_nobody_looks_where_no_worker_runs(make_pool: MakePool, specs: dict[str, WorkerSpec]) -> None:
    def lookers() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "comfy-env caretaker"]

    pool = make_pool(look_every_s=0.05, idle_timeout_s=None)
    assert eventually(lambda: lookers() == [])
    run(pool, specs["a"])
    assert lookers() == ["comfy-env caretaker"]
    pool.stop("a")
    assert eventually(lambda: lookers() == [])


def test_a_worker_that_has_to_go_between_its_start_and_the_call_starts_again(
    make_pool: MakePool, specs: dict[str, WorkerSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool()
    stopped: list[bool] = []
    call = Worker.call

    def stop_first(worker: Worker, *args: Any, **options: Any) -> Any:
        if not stopped:
            stopped.append(worker.stop_if_idle("the test says so"))
        return call(worker, *args, **options)

    monkeypatch.setattr(Worker, "call", stop_first)
    assert run(pool, specs["a"]) > 0
    assert stopped == [True]


def test_a_worker_killed_between_two_prompts_is_replaced_and_its_objects_say_so(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    """As the kernel does when memory is out."""
    pool = make_pool()
    pid = run(pool, specs["a"])
    mesh = run(pool, specs["a"], "make")
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: pool.running("a") is None)
    (told,) = [worker.statistics for worker in pool.workers()]
    assert (told.state, told.pid, pool.figures()) == (WorkerState.CRASHED, None, {})
    assert "SIGKILL (out of memory, or killed by hand)" in (told.last_end or "")
    assert run(pool, specs["a"]) != pid
    with pytest.raises(DeadHandle, match=r"Mesh.*worker a"):
        mesh.anything  # noqa: B018


def test_a_node_that_eats_its_process_fails_and_the_next_call_works(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    pool = make_pool()
    with pytest.raises(WorkerCrashed, match="SIGKILL"):
        run(pool, specs["a"], "eat")
    assert run(pool, specs["a"]) > 0


def test_figures_of_a_worker_are_those_of_its_process(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    pool = make_pool()
    pid = run(pool, specs["a"])
    (told,) = [worker.statistics for worker in pool.workers()]
    assert (told.pid, told.state, told.calls) == (pid, WorkerState.IDLE, 1)
    assert told.last_end is None and told.idle_s is not None and told.idle_s >= 0
    taken = pool.figures()[pid]
    assert taken.rss_bytes == pytest.approx(psutil.Process(pid).memory_info().rss, rel=0.2)
    assert taken.private_bytes is not None and 0 < taken.private_bytes <= taken.rss_bytes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process are Unix's")
def test_a_node_that_leaks_until_there_is_no_more_fails_and_the_worker_serves_on(
    make_pool: MakePool, tmp_path: Path
) -> None:
    """A limit on the process stands for a machine whose memory is used up. The error is the node's own."""
    before = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\nKEPT = []\n"
    body = """
        def leak(self):
            while True:
                KEPT.append(bytearray(64 * 2**20))
        def drop(self):
            KEPT.clear()
    """
    spec = spec_for(node_pack(tmp_path, textwrap.dedent(body), before))
    pool = make_pool()
    with pytest.raises(MemoryError):
        run(pool, spec, "leak")
    first = pool.running(spec.site_id)
    assert first is not None
    run(pool, spec, "drop")
    assert pool.running(spec.site_id) is first


def test_a_worker_that_only_described_its_nodes_counts_as_unused_until_one_runs(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    pool = make_pool()
    pool.call(specs["a"], "describe", [specs["a"].module_name]).result(PATIENCE_S)
    worker = pool.running("a")
    assert worker is not None and not worker.statistics.was_used
    run(pool, specs["a"])
    assert worker.statistics.was_used


def test_a_worker_that_lent_an_object_in_the_last_moment_stays(
    make_pool: MakePool, specs: dict[str, WorkerSpec]
) -> None:
    pool = make_pool()
    mesh = run(pool, specs["a"], "make")
    worker = pool.running("a")
    assert worker is not None and not worker.stop_if_idle("somebody thought that it holds nothing")
    assert type(mesh).__name__ == "Mesh"
