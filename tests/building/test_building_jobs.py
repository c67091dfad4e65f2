"""Builds with real processes: killed, cancelled, failing, twice at once, and in the end done."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from building import fake_engine
from building.fake_engine import FakeEngine, broken, make_plan, write_config
from patience import PATIENCE_S

from comfy_env_core.building.errors import BuildCause
from comfy_env_core.building.jobs import Builder, JobSnapshot
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.removal import EnvironmentBusy, remove_environment
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake engine lays out a POSIX prefix")

DONE, FAILED, CANCELLED = EnvironmentState.DONE, EnvironmentState.FAILED, EnvironmentState.CANCELLED


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, "alpha", "beta")


@contextlib.contextmanager
def builder_for(
    store: Store, engine: FakeEngine, *listeners: Callable[[JobSnapshot], None]
) -> Iterator[Builder]:
    builder = Builder(store, lambda report: engine, listeners)
    try:
        yield builder
    finally:
        assert builder.shutdown()


def wait_until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Polls what cannot be waited for (files of another process)."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def other_process(store: Store, config: Path, seconds: float) -> subprocess.Popen[str]:
    """A second Python that builds once a line is written to it."""
    command = [sys.executable, fake_engine.__file__, str(store.root), str(config), str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_builder_killed_in_the_middle_leaves_nothing_that_passes_for_done(
    store: Store, config: Path
) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    process = other_process(store, config, seconds=30)
    try:
        start(process)
        wait_until((workspace.prefix / "part3").exists)
        child = int((workspace.directory / "child.pid").read_text())
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    if sys.platform == "linux":
        wait_until(lambda: not is_running(child), 2)
    assert workspace.prefix.exists()
    assert not workspace.is_done()

    engine = FakeEngine()
    with builder_for(store, engine) as builder:
        assert builder.submit(plan).wait(PATIENCE_S).state is DONE
    assert engine.builds == 1
    assert not (workspace.prefix / "part3").exists(), "files of the killed build must be gone"
    assert not list(workspace.directory.glob(".*.trash"))


def test_cancel_ends_the_whole_process_tree_within_two_seconds(store: Store, config: Path) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    with builder_for(store, FakeEngine(seconds=30)) as builder:
        job = builder.submit(plan)
        wait_until((workspace.prefix / "part1").exists)
        tree = [psutil.Process(int((workspace.directory / "child.pid").read_text()))]
        tree += tree[0].children(recursive=True)
        assert len(tree) == 2
        asked = time.monotonic()
        job.cancel()
        end = job.wait(PATIENCE_S)
        took_s = time.monotonic() - asked
    assert end.state is CANCELLED
    assert end.error is not None and end.error.cause is BuildCause.CANCELLED
    assert took_s < 2
    assert not any(is_running(process.pid) for process in tree)
    assert not workspace.prefix.exists(), "the room is given back"


def test_a_cancelled_job_that_had_not_started_never_builds(store: Store, tmp_path: Path) -> None:
    plans = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        plans.append(make_plan(write_config(tmp_path / name, name)))
    engine = FakeEngine(seconds=30)
    builder = Builder(store, lambda report: engine, max_builds=1)
    running, waiting = builder.submit(plans[0]), builder.submit(plans[1])
    waiting.cancel()
    assert waiting.wait(PATIENCE_S).state is CANCELLED
    running.cancel()
    assert running.wait(PATIENCE_S).state is CANCELLED
    assert engine.builds <= 1
    assert builder.shutdown()


def test_two_processes_that_want_the_same_environment_build_it_once(store: Store, config: Path) -> None:
    processes = [other_process(store, config, seconds=0.5) for _ in range(2)]
    for process in processes:
        start(process)
    outputs = [process.communicate(timeout=60)[0].split("\n") for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(line for lines in outputs for line in lines if line.startswith("built")) == [
        "built 0",
        "built 1",
    ]
    assert all("done" in lines for lines in outputs)


def test_waiting_for_another_process_says_which_one(store: Store, config: Path) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    process = other_process(store, config, seconds=1)
    start(process)
    wait_until(workspace.prefix.exists)
    heard: list[JobSnapshot] = []
    engine = FakeEngine()
    with builder_for(store, engine, heard.append) as builder:
        end = builder.submit(plan).wait(PATIENCE_S)
    process.communicate(timeout=60)
    assert end.state is DONE
    assert engine.builds == 0
    waiting = [snapshot for snapshot in heard if snapshot.phase is Phase.WAITING]
    assert f"process {process.pid}" in waiting[0].text
    assert EnvironmentState.BUILDING not in {snapshot.state for snapshot in heard}


def test_an_environment_that_is_being_built_is_not_removed(store: Store, config: Path) -> None:
    plan = make_plan(config)
    lock = build_lock(store, plan.environment_id)
    assert lock.try_acquire()
    with pytest.raises(EnvironmentBusy, match=f"process {os.getpid()}"):
        remove_environment(store, plan.environment_id)
    lock.release()


def test_shutdown_while_building_ends_the_build_and_its_processes(store: Store, config: Path) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    builder = Builder(store, lambda report: FakeEngine(seconds=30))
    job = builder.submit(plan)
    wait_until((workspace.prefix / "part1").exists)
    child = int((workspace.directory / "child.pid").read_text())
    started = time.monotonic()
    assert builder.shutdown()
    assert time.monotonic() - started < 3
    assert not is_running(child)
    assert job.wait(0).state is CANCELLED
    with pytest.raises(RuntimeError, match="shut down"):
        builder.submit(plan)


def test_a_failing_engine_leaves_the_error_the_log_and_no_prefix(store: Store, config: Path) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    with builder_for(store, FakeEngine(failure=broken("alpha and beta disagree"))) as builder:
        end = builder.submit(plan).wait(PATIENCE_S)
    assert end.state is FAILED
    assert end.error is not None
    assert end.error.cause is BuildCause.CONFLICT
    assert end.error.log_path == environment.log_path
    assert "unpacked alpha" in end.error.tail
    text = environment.log_path.read_text()
    assert text.splitlines()[-1].startswith("# FAILED after")
    assert "alpha and beta disagree" in text
    assert not workspace.prefix.exists()
    assert not workspace.is_done()


def test_a_mistake_of_ours_ends_as_a_failed_job_and_not_as_a_dead_thread(store: Store, config: Path) -> None:
    def choose(report: Report) -> FakeEngine:
        raise ZeroDivisionError("oops")

    builder = Builder(store, choose)
    end = builder.submit(make_plan(config)).wait(PATIENCE_S)
    assert end.state is FAILED
    assert end.error is not None
    assert end.error.cause is BuildCause.INTERNAL
    assert "oops" in str(end.error)
    assert builder.shutdown()


def test_building_again_after_a_failure_works_and_keeps_the_old_log(store: Store, config: Path) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    engine = FakeEngine(failure=broken("first"))
    with builder_for(store, engine) as builder:
        first = builder.submit(plan)
        assert first.wait(PATIENCE_S).state is FAILED
        for _ in range(2):
            builder.submit(plan).wait(PATIENCE_S)
        engine.failure = None
        second = builder.submit(plan)
        assert second is not first
        assert second.wait(PATIENCE_S).state is DONE
    assert workspace.is_done()
    logs = sorted(path.name for path in environment.directory.glob("install.log*"))
    assert logs == ["install.log", "install.log.1", "install.log.2"]
    assert environment.log_path.read_text().splitlines()[-1].startswith("# done after")


def test_listeners_hear_every_state_in_order_and_once(store: Store, config: Path) -> None:
    heard: list[JobSnapshot] = []
    with builder_for(store, FakeEngine(), heard.append) as builder:
        job = builder.submit(make_plan(config))
        job.wait(PATIENCE_S)
        count = len(heard)
        assert heard[-1].state is DONE, "wait returns after the listeners heard"
    assert len(heard) == count
    states = [snapshot.state.value for snapshot in heard]
    assert list(dict.fromkeys(states)) == ["queued", "building", "verifying", "done"]
    assert states == sorted(states, key=["queued", "building", "verifying", "done"].index)
    assert heard[-1].packages_done == heard[-1].packages_total > 0


def test_a_listener_that_raises_does_not_stop_the_others_or_the_build(store: Store, config: Path) -> None:
    heard: list[EnvironmentState] = []

    def raising(snapshot: JobSnapshot) -> None:
        raise ValueError("a listener's own mistake")

    def hearing(snapshot: JobSnapshot) -> None:
        heard.append(snapshot.state)

    with builder_for(store, FakeEngine(), raising, hearing) as builder:
        assert builder.submit(make_plan(config)).wait(PATIENCE_S).state is DONE
    assert heard[-1] is DONE


def test_a_build_that_is_silent_is_announced_once_a_second(store: Store, config: Path) -> None:
    heard: list[JobSnapshot] = []
    beats = threading.Event()

    def listen(snapshot: JobSnapshot) -> None:
        heard.append(snapshot)
        if len([one for one in heard if one.phase is Phase.INSTALLING]) >= 3:
            beats.set()

    with builder_for(store, FakeEngine(seconds=30), listen) as builder:
        job = builder.submit(make_plan(config))
        assert beats.wait(PATIENCE_S)
        job.cancel()
        job.wait(PATIENCE_S)
    installing = [snapshot.elapsed_s for snapshot in heard if snapshot.phase is Phase.INSTALLING]
    assert installing[1] - installing[0] > 0.5


def test_who_asks_for_what_is_being_built_joins_the_job(store: Store, config: Path, tmp_path: Path) -> None:
    plan = make_plan(config)
    sites = [tmp_path / "site1", tmp_path / "site2"]
    for site in sites:
        site.mkdir()
    engine = FakeEngine(seconds=0.3)
    with builder_for(store, engine) as builder:
        first = builder.submit(plan, [sites[0]])
        assert builder.submit(plan, [sites[1]]) is first
        assert first.wait(PATIENCE_S).state is DONE
    assert engine.builds == 1
    for site in sites:
        assert (site / f"_env_{plan.environment_id}").resolve() == store.environment(
            plan.environment_id
        ).directory


def test_a_second_site_with_the_same_plan_only_gets_a_link(
    store: Store, config: Path, tmp_path: Path
) -> None:
    plan = make_plan(config)
    site = tmp_path / "other pack"
    site.mkdir()
    engine = FakeEngine()
    with builder_for(store, engine) as builder:
        assert builder.submit(plan).wait(PATIENCE_S).state is DONE
        before = store.environment(plan.environment_id).generation(1).done_path.stat().st_mtime_ns
        started = time.monotonic()
        assert builder.submit(plan, [site]).snapshot().state is DONE
        assert time.monotonic() - started < 1
    assert engine.builds == 1
    assert store.environment(plan.environment_id).generation(1).done_path.stat().st_mtime_ns == before
    assert [path.name for path in site.iterdir()] == [f"_env_{plan.environment_id}"]


def test_a_site_that_cannot_be_written_is_done_all_the_same_and_says_why_it_has_no_link(
    store: Store, config: Path, tmp_path: Path
) -> None:
    plan = make_plan(config)
    not_a_directory = tmp_path / "file"
    not_a_directory.write_text("")
    with builder_for(store, FakeEngine()) as builder:
        end = builder.submit(plan, [not_a_directory]).wait(PATIENCE_S)
    assert end.state is DONE
    ((directory, reason),) = end.unlinked
    assert directory == not_a_directory
    assert "No link" in reason


@pytest.mark.parametrize("damage", ["truncated", "missing", "of another", "interpreter"])
def test_a_done_environment_whose_proof_is_damaged_is_built_again(
    store: Store, config: Path, damage: str
) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    engine = FakeEngine()
    with builder_for(store, engine) as builder:
        builder.submit(plan).wait(PATIENCE_S)
        text = workspace.meta_path.read_text()
        if damage == "truncated":
            workspace.meta_path.write_text(text[: len(text) // 2])
        elif damage == "missing":
            workspace.meta_path.unlink()
        elif damage == "of another":
            workspace.meta_path.write_text(text.replace(plan.environment_id, "00000000"))
        else:
            workspace.python.unlink()
        assert builder.submit(plan).wait(PATIENCE_S).state is DONE
    assert engine.builds == 2
    assert workspace.read_meta().environment_id == plan.environment_id


def test_the_record_says_what_was_built_and_the_manifest_is_private(store: Store, config: Path) -> None:
    plan = make_plan(config)
    environment = store.environment(plan.environment_id)
    workspace = environment.generation(1)
    with builder_for(store, FakeEngine()) as builder:
        builder.submit(plan).wait(PATIENCE_S)
    meta = workspace.read_meta()
    assert {package.name for package in meta.packages} == {"alpha", "beta", "msgpack"}
    assert meta.facts == plan.facts
    assert meta.config_path == str(config)
    assert workspace.manifest_path.stat().st_mode & 0o077 == 0
    header = environment.log_path.read_text()
    assert plan.environment_id in header
    assert str(config) in header
    assert "engine: fake 1" in header


def test_only_one_build_at_a_time_has_the_turn_at_pypi(store: Store, tmp_path: Path) -> None:
    heard: list[JobSnapshot] = []
    engine = FakeEngine(seconds=0.5)
    with builder_for(store, engine, heard.append) as builder:
        jobs = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            jobs.append(builder.submit(make_plan(write_config(tmp_path / name, name))))
        assert [job.wait(PATIENCE_S).state for job in jobs] == [DONE, DONE]
    assert any("another build installs from PyPI" in snapshot.text for snapshot in heard)


def test_the_more_urgent_build_starts_first(store: Store, tmp_path: Path) -> None:
    plans = []
    for name in ("first", "patient", "urgent"):
        (tmp_path / name).mkdir()
        plans.append(make_plan(write_config(tmp_path / name, name)))
    begun: list[str] = []

    def listen(snapshot: JobSnapshot) -> None:
        if snapshot.state is EnvironmentState.BUILDING and snapshot.environment_id not in begun:
            begun.append(snapshot.environment_id)

    engine = FakeEngine(seconds=0.3)
    builder = Builder(store, lambda report: engine, [listen], max_builds=1)
    jobs = [builder.submit(plan, priority=priority) for plan, priority in zip(plans, (0, 0, 5), strict=True)]
    for job in jobs:
        job.wait(PATIENCE_S)
    assert begun == [plans[0].environment_id, plans[2].environment_id, plans[1].environment_id]
    assert builder.shutdown()
