"""The generations of an environment: what a kill, a damage or a process in one of them leaves of it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comfy_env_core.environments.environment import Environment, NothingToRollBackTo
from comfy_env_core.environments.removal import EnvironmentBusy, remove_environment, sweep
from comfy_env_core.environments.store import Store
from comfy_env_core.environments.workspace import Workspace

#: Builds and switches for ever, as a rebuild does after its engine has ended.
_SWITCHING = """
import sys
from pathlib import Path
from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.removal import sweep
environment = Environment(Path(sys.argv[1]))
environment.recover()
print("ready", flush=True)
while True:
    sweep(environment)
    workspace = environment.begin_generation()
    workspace.prefix.mkdir(parents=True)
    (workspace.prefix / "file").write_text("whole")
    workspace.done_path.touch()
    environment.switch_to(workspace)
    sweep(environment)
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    made = Store(tmp_path / "store").environment("0123abcd")
    made.directory.mkdir(parents=True)
    return made


def build(environment: Environment) -> Workspace:
    workspace = environment.begin_generation()
    workspace.prefix.mkdir(parents=True)
    workspace.done_path.touch()
    environment.switch_to(workspace)
    return workspace


def test_a_builder_killed_at_any_moment_leaves_a_whole_generation_serving(environment: Environment) -> None:
    root = Path(__file__).resolve().parents[2]
    build(environment)
    randomness = random.Random(5)
    for _ in range(5):
        command = [sys.executable, "-c", _SWITCHING, str(environment.directory)]
        process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(randomness.uniform(0, 0.02))
        process.kill()
        process.communicate()
        current = environment.current()
        assert current is not None
        if current.number > 1:
            assert (current.prefix / "file").read_text() == "whole"
    sweep(environment)
    assert set(environment.generations()) == {environment.current(), environment.previous()} - {None}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"current": 2}',
        b'{"current": "2", "previous": 1}',
        b"\xff",
        b'{"current": 9, "previous": 1}',
    ],
)
def test_a_damaged_pointer_names_nothing_until_it_is_recovered(environment: Environment, text: bytes) -> None:
    build(environment)
    newest = build(environment)
    environment.pointer_path.write_bytes(text)
    assert environment.current() is None
    environment.recover()
    assert environment.current() == newest


def test_recovery_takes_no_generation_that_is_not_done(environment: Environment) -> None:
    first = build(environment)
    environment.begin_generation()
    environment.pointer_path.unlink()
    environment.recover()
    assert environment.current() == first
    first.discard_done()
    environment.recover()
    assert environment.current() is None


def test_an_unfinished_generation_is_never_switched_to(environment: Environment) -> None:
    first = build(environment)
    with pytest.raises(ValueError, match="Generation 2 of environment '0123abcd' is not done"):
        environment.switch_to(environment.begin_generation())
    assert environment.current() == first


def test_rolling_back_twice_changes_nothing(environment: Environment) -> None:
    with pytest.raises(NothingToRollBackTo, match="no earlier build"):
        environment.roll_back()
    first, second = build(environment), build(environment)
    assert environment.roll_back() == first == environment.current()
    assert environment.previous() == second
    assert environment.roll_back() == second == environment.current()


def test_what_was_rolled_back_from_is_swept_after_the_next_success(environment: Environment) -> None:
    first = build(environment)
    build(environment)
    environment.roll_back()
    third = build(environment)
    sweep(environment)
    assert (environment.current(), environment.previous()) == (third, first)
    assert environment.generations() == (first, third)


def test_a_generation_that_is_broken_is_not_rolled_back_to(environment: Environment) -> None:
    first = build(environment)
    second = build(environment)
    second.discard_done()
    third = build(environment)
    assert environment.previous() == first
    assert environment.current() == third


@pytest.mark.skipif(sys.platform == "win32", reason="a stand-in for a worker of POSIX")
def test_a_generation_that_a_process_runs_in_is_not_swept(environment: Environment) -> None:
    """As a worker of another ComfyUI does; the program of a venv lies elsewhere."""
    first = build(environment)
    first.python.parent.mkdir()
    first.python.symlink_to(sys.executable)
    build(environment)
    build(environment)
    command = [str(first.python), "-c", "print('runs', flush=True); input()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
    try:
        assert process.stdout is not None
        process.stdout.readline()
        sweep(environment)
        assert first.is_done()
        store = Store(environment.directory.parent)
        with pytest.raises(EnvironmentBusy, match=str(process.pid)):
            remove_environment(store, environment.id)
    finally:
        process.kill()
        process.communicate()
    sweep(environment)
    assert not first.directory.exists()
    remove_environment(store, environment.id)
    assert not environment.directory.exists()


def test_checking_a_hundred_environments_takes_less_than_a_tenth_of_a_second(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(100):
        made = store.environment(f"{number:08x}")
        made.directory.mkdir()
        build(made)
    took_s = []
    for _ in range(5):
        started = time.perf_counter()
        assert all(environment.is_done() for environment in store.environments())
        took_s.append(time.perf_counter() - started)
    assert min(took_s) < 0.1
