"""Rebuilding with real processes: the environment that works goes on working, whatever becomes of the new build."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import fake_engine
from building.fake_engine import FakeEngine, broken, make_plan, write_config
from patience import PATIENCE_S, eventually

from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Store
from comfy_env_core.environments.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake engine lays out a POSIX prefix")

DONE, FAILED = EnvironmentState.DONE, EnvironmentState.FAILED


class Bench:
    """One plan, built once."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "store")
        self.config = write_config(directory, "alpha")
        self.plan: BuildPlan = make_plan(self.config)
        self.engine = FakeEngine()
        self.builder = Builder(self.store, lambda report: self.engine)
        self.environment: Environment = self.store.environment(self.plan.environment_id)
        assert self.build() is DONE

    def build(self, *, rebuild: bool = False) -> EnvironmentState:
        return self.builder.submit(self.plan, rebuild=rebuild).wait(PATIENCE_S).state

    def current(self) -> Workspace:
        workspace = self.environment.current()
        assert workspace is not None
        return workspace

    def rebuilding_process(self, seconds: float) -> subprocess.Popen[str]:
        """Another process that rebuilds once a line is written to it."""
        command = [sys.executable, fake_engine.__file__, str(self.store.root), str(self.config), str(seconds)]
        process = subprocess.Popen(
            [*command, "rebuild"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    assert bench.builder.shutdown()


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def imports_alpha(workspace: Workspace) -> bool:
    return subprocess.run([workspace.python, "-c", "import alpha"], check=False).returncode == 0


def test_a_rebuild_killed_in_the_middle_leaves_the_environment_that_worked(bench: Bench) -> None:
    first = bench.current()
    process = bench.rebuilding_process(30)
    start(process)
    half = bench.environment.generation(2)
    try:
        assert eventually((half.prefix / "part3").exists)
        assert bench.current() == first, "it serves while the new one is being filled"
        assert imports_alpha(first)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert bench.build() is DONE
    assert bench.current() == first
    assert bench.build(rebuild=True) is DONE
    assert bench.current().number > 1
    assert not list(bench.environment.directory.rglob("part3"))
    assert imports_alpha(bench.current())


def test_a_rebuild_killed_before_its_pointer_was_written_is_begun_anew(bench: Bench) -> None:
    """Its generation is done, but nobody was told so: the old one serves."""
    first = bench.current()
    stray = bench.environment.begin_generation()
    stray.done_path.touch()
    assert bench.build() is DONE
    assert bench.current() == first
    assert bench.build(rebuild=True) is DONE
    assert imports_alpha(bench.current())


def test_a_first_build_killed_before_its_pointer_was_written_is_taken_as_it_is(bench: Bench) -> None:
    first = bench.current()
    bench.environment.pointer_path.unlink()
    assert bench.build() is DONE
    assert bench.current() == first
    assert bench.engine.builds == 1


def test_a_rebuild_that_fails_leaves_the_environment_that_worked(bench: Bench) -> None:
    first = bench.current()
    bench.engine.failure = broken("the second")
    assert bench.build(rebuild=True) is FAILED
    assert bench.current() == first
    assert imports_alpha(first)
    assert bench.environment.generations() == (first,)
    assert bench.build() is DONE


def test_a_rebuild_that_cannot_be_imported_is_kept_for_a_look_and_never_serves(bench: Bench) -> None:
    first = bench.current()
    bench.engine.break_modules = {"alpha": "raise RuntimeError('broken')"}
    assert bench.build(rebuild=True) is FAILED
    assert bench.current() == first
    assert bench.environment.generation(2).prefix.exists()
    bench.engine.break_modules = {}
    assert bench.build(rebuild=True) is DONE
    assert bench.environment.previous() == first


def test_the_build_before_stays_until_the_next_success(bench: Bench) -> None:
    first = bench.current()
    assert bench.build(rebuild=True) is DONE
    second = bench.current()
    assert (second.number, bench.environment.previous()) == (2, first)
    assert imports_alpha(first), "workers in it go on"
    bench.environment.roll_back()
    assert bench.build() is DONE
    assert bench.current() == first
    assert bench.build(rebuild=True) is DONE
    assert bench.environment.previous() == first
    assert not second.directory.exists()


def test_two_processes_that_rebuild_at_once_build_one_generation(bench: Bench) -> None:
    processes = [bench.rebuilding_process(0.5) for _ in range(2)]
    for process in processes:
        start(process)
    outputs = [process.communicate(timeout=60)[0].split("\n") for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(line for lines in outputs for line in lines if line.startswith("built")) == [
        "built 0",
        "built 1",
    ]
    assert bench.current().number == 2


def test_a_damaged_generation_gives_way_to_the_one_before(bench: Bench) -> None:
    first = bench.current()
    assert bench.build(rebuild=True) is DONE
    bench.current().python.unlink()
    assert bench.build() is DONE
    assert bench.current() == first
    assert bench.engine.builds == 2
