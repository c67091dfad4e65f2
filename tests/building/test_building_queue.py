"""Who is built when, how far it is, and what other processes see and may ask of it."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from building.fake_engine import FakeEngine, make_plan, write_config
from building.test_building_jobs import builder_for, is_running, other_process, start, wait_until
from patience import PATIENCE_S

from comfy_env_core.building import construction
from comfy_env_core.building.build_queue import BuildQueue
from comfy_env_core.building.engines import BuiltEnvironment
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.jobs import Builder, Job, JobSnapshot
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, QuietReport, Report
from comfy_env_core.building.retries import provision
from comfy_env_core.building.running_job import JobFile, ask_to_cancel, job_path, read_running_job
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Environment, Store, Workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake engine lays out a POSIX prefix")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def plans(tmp_path: Path) -> list[BuildPlan]:
    made = []
    for name in ("one", "two", "three", "four"):
        (tmp_path / name).mkdir()
        made.append(make_plan(write_config(tmp_path / name, name)))
    return made


class Standing:
    """Stands in a queue and remembers where."""

    def __init__(self) -> None:
        self.position = -1

    def place(self, position: int, priority: int) -> None:
        self.position = position


def test_the_queue_puts_the_urgent_first_and_equals_in_the_order_of_asking() -> None:
    queue: BuildQueue[Standing] = BuildQueue()
    first, second, urgent = Standing(), Standing(), Standing()
    for item, priority in ((first, 0), (second, 0), (urgent, 5)):
        queue.add(item, priority)
    assert queue.items() == (urgent, first, second)
    queue.hurry(second, 9)
    queue.hurry(second, 1)  # nobody is made to wait longer
    assert [item.position for item in (second, urgent, first)] == [1, 2, 3]
    assert queue.pop() is second
    assert second.position == 0
    assert queue.remove(urgent)
    assert not queue.remove(urgent)
    assert first.position == 1


def test_asking_again_with_more_urgency_moves_a_build_up_and_everybody_hears_his_place(
    store: Store, plans: list[BuildPlan]
) -> None:
    running, patient, urgent = plans[:3]
    builder = Builder(store, lambda report: FakeEngine(seconds=30), max_builds=1)
    try:
        builder.submit(running)
        waiting = [builder.submit(patient), builder.submit(urgent)]
        assert [job.snapshot().position for job in waiting] == [1, 2]
        assert builder.submit(urgent, priority=5) is waiting[1]
        assert [job.snapshot().position for job in waiting] == [2, 1]
        assert waiting[1].snapshot().as_json()["priority"] == 5
        waiting[1].cancel()
        assert [job.snapshot().position for job in waiting] == [1, 0]
    finally:
        assert builder.shutdown()


def test_a_build_that_waits_for_another_process_shows_its_progress_and_takes_no_place(
    store: Store, plans: list[BuildPlan], tmp_path: Path
) -> None:
    process = other_process(store, tmp_path / "one" / "comfy-env.toml", seconds=1.5)
    start(process)
    environment = store.environment(plans[0].environment_id)
    wait_until(lambda: read_running_job(environment) is not None)
    heard: list[JobSnapshot] = []
    engine = FakeEngine()
    builder = Builder(store, lambda report: engine, [heard.append], max_builds=1)
    try:
        waiting = builder.submit(plans[0])
        assert builder.submit(plans[1]).wait(PATIENCE_S).state is EnvironmentState.DONE
        assert waiting.wait(PATIENCE_S).state is EnvironmentState.DONE
    finally:
        assert builder.shutdown()
        process.communicate(timeout=30)
    assert engine.builds == 1
    assert any("installing, unpacking" in snapshot.text for snapshot in heard)
    assert read_running_job(environment) is None


def test_another_process_can_cancel_a_build_and_it_leaves_a_clean_state(
    store: Store, plans: list[BuildPlan], tmp_path: Path
) -> None:
    environment = store.environment(plans[0].environment_id)
    assert ask_to_cancel(environment) is None
    process = other_process(store, tmp_path / "one" / "comfy-env.toml", seconds=30)
    start(process)
    wait_until(lambda: list(environment.directory.glob("*/.pixi/envs/default/part1")))
    child = int(next(environment.directory.glob("*/child.pid")).read_text())
    asked = time.monotonic()
    job = ask_to_cancel(environment)
    assert job is not None
    assert (job.pid, job.state, job.phase) == (process.pid, "building", "installing")
    output = process.communicate(timeout=PATIENCE_S)[0]
    assert time.monotonic() - asked < 3
    assert "cancelled" in output.split("\n")
    assert not is_running(child)
    assert read_running_job(environment) is None
    assert sorted(path.name for path in environment.directory.iterdir()) == ["install.log"]
    with builder_for(store, FakeEngine()) as builder:
        assert builder.submit(plans[0]).wait(PATIENCE_S).state is EnvironmentState.DONE


def test_what_a_killed_build_left_behind_does_not_pass_for_a_running_one(
    store: Store, plans: list[BuildPlan]
) -> None:
    environment = store.environment(plans[0].environment_id)
    with builder_for(store, FakeEngine(seconds=30)) as builder:
        job = builder.submit(plans[0])
        wait_until(lambda: read_running_job(environment) is not None)
        left = job_path(environment).read_text()
        job.cancel()
        job.wait(PATIENCE_S)
    record = json.loads(left)
    for changes in ({"pid": 2**22 + 7}, {"process_started_at": 1.0}):
        job_path(environment).write_text(json.dumps({**record, **changes}))
        assert read_running_job(environment) is None
    for text in (left[:-20], "[]", json.dumps({**record, "pid": "x"})):
        job_path(environment).write_text(text)
        assert read_running_job(environment) is None


def test_a_request_to_cancel_an_earlier_build_does_not_end_the_next(store: Store) -> None:
    environment = store.environment("0123abcd")
    environment.directory.mkdir(parents=True)
    (environment.directory / "cancel-request").write_text("an earlier job")
    file = JobFile(environment, "this job")
    file.open()
    assert not file.is_cancel_asked()
    assert not (environment.directory / "cancel-request").exists()
    file.close()


class Faulty:
    """Fails with these errors, one after the other, then succeeds."""

    name, version = "faulty", "1"

    def __init__(self, *errors: BuildError) -> None:
        self.errors = list(errors)
        self.attempts = 0

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        self.attempts += 1
        assert not workspace.prefix.exists(), "an engine is promised an empty place"
        workspace.prefix.mkdir(parents=True)
        if self.errors:
            raise self.errors.pop(0)
        return BuiltEnvironment(workspace.prefix, workspace.python, "3", self.name, self.version, ())


NETWORK = BuildError(BuildCause.NETWORK, "The line was cut.")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    yield Environment(tmp_path / "_env_00000000").begin_generation()


def test_a_network_that_comes_back_is_tried_again_from_an_empty_place(
    workspace: Workspace, plans: list[BuildPlan]
) -> None:
    engine = Faulty(NETWORK, NETWORK)
    provision(engine, plans[0], workspace, QuietReport(), pauses_s=(0.01, 0.01))
    assert engine.attempts == 3


def test_a_network_that_stays_away_is_given_up_and_the_attempts_are_told(
    workspace: Workspace, plans: list[BuildPlan]
) -> None:
    with pytest.raises(BuildError, match=r"line was cut\. 3 attempts were made") as raised:
        provision(Faulty(NETWORK, NETWORK, NETWORK), plans[0], workspace, QuietReport(), pauses_s=(0.01,) * 2)
    assert raised.value.cause is BuildCause.NETWORK


@pytest.mark.parametrize("cause", sorted(set(BuildCause) - {BuildCause.NETWORK}, key=str))
def test_nothing_else_gets_better_by_waiting(
    workspace: Workspace, plans: list[BuildPlan], cause: BuildCause
) -> None:
    engine = Faulty(BuildError(cause, "No."))
    with pytest.raises(BuildError, match="No"):
        provision(engine, plans[0], workspace, QuietReport(), pauses_s=(0.01,) * 2)
    assert engine.attempts == 1


def test_the_pause_before_another_attempt_is_shown_and_can_be_cancelled(
    store: Store, plans: list[BuildPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(construction, "provision", functools.partial(provision, pauses_s=(PATIENCE_S, 8.0)))
    heard: list[JobSnapshot] = []
    pausing = threading.Event()

    def listen(snapshot: JobSnapshot) -> None:
        heard.append(snapshot)
        if snapshot.phase is Phase.WAITING:
            pausing.set()

    builder = Builder(store, lambda report: Faulty(NETWORK), [listen])
    job = builder.submit(plans[0])
    assert pausing.wait(PATIENCE_S)
    asked = time.monotonic()
    job.cancel()
    assert job.wait(PATIENCE_S).state is EnvironmentState.CANCELLED
    assert time.monotonic() - asked < 1
    assert any("attempt 2 of 3 in 60 s" in snapshot.text for snapshot in heard)
    assert builder.shutdown()
    assert "The line was cut" in store.environment(plans[0].environment_id).log_path.read_text()


def test_percent_belongs_to_its_phase(store: Store, plans: list[BuildPlan]) -> None:
    with builder_for(store, FakeEngine()) as builder:
        job: Job = builder.submit(plans[0])
        job.wait(PATIENCE_S)
    fresh = Job(plans[1], builder, 0, EnvironmentState.MISSING, rebuild=False)
    steps: list[tuple[Callable[[], None], float | None]] = [
        (lambda: fresh.report_phase(Phase.DOWNLOADING, "x"), None),
        (lambda: fresh.report_percent(40.0), 40.0),
        (lambda: fresh.report_phase(Phase.DOWNLOADING, "y"), 40.0),
        (lambda: fresh.report_phase(Phase.INSTALLING, ""), None),
        (lambda: fresh.report_packages(1, 0), None),
        (lambda: fresh.report_packages(1, 4), 25.0),
    ]
    for step, percent in steps:
        step()
        assert fresh.snapshot().percent == percent
    assert fresh.snapshot().quiet_s < 5


class Damaged(FakeEngine):
    """Installs from a cache in which a module was garbled, until it is told to forget that."""

    forgotten: tuple[str, ...] = ()

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        built = super().provision(plan, workspace, report)
        (site,) = workspace.prefix.glob("lib/python*/site-packages")
        good = (site / "one.py").read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(good).digest()).rstrip(b"=").decode()
        (site / "one-1.0.dist-info" / "RECORD").write_text(f"one.py,sha256={digest},{len(good)}\n")
        if not self.forgotten:
            (site / "one.py").write_bytes(b"1/0\n" + good[4:])
        return built

    def forget(self, names: Sequence[str], report: Report) -> None:
        self.forgotten = tuple(names)


def test_an_import_that_fails_for_damaged_files_is_tried_again_without_them(
    store: Store, plans: list[BuildPlan]
) -> None:
    engine = Damaged()
    with builder_for(store, engine) as builder:
        end = builder.submit(plans[0]).wait(PATIENCE_S)
    assert end.state is EnvironmentState.DONE, end.error
    assert engine.forgotten == ("one",)
    assert engine.builds == 2
