"""What is known of environments is kept, and never out of date."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from comfy_env_core.environments import looks as looks_module
from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.looks import Look, Looks
from comfy_env_core.environments.meta import Meta, write_meta
from comfy_env_core.environments.removal import discard
from comfy_env_core.environments.store import Store


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    environment = Store(tmp_path).environment("0123abcd")
    build(environment, "3.11.7")
    environment.log_path.write_text("built\n")
    return environment


def build(environment: Environment, python: str) -> None:
    workspace = environment.begin_generation()
    record = Meta(
        environment.id, "pixi", "1", python, (), "comfy-env.toml", (), "2026-11-23T00:00:00", 1.0, "0"
    )
    write_meta(workspace.meta_path, record)
    write_atomically(workspace.done_path, b"")
    environment.switch_to(workspace)


def settle(environment: Environment) -> None:
    """As if nothing had changed for a minute."""
    long_ago = time.time() - 60
    for directory in (environment.directory, *(one.directory for one in environment.generations())):
        os.utime(directory, (long_ago, long_ago))


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The id of each environment that was really looked at."""
    seen: list[str] = []
    look = looks_module._look

    def counting(environment: Environment) -> Look:
        seen.append(environment.id)
        return look(environment)

    monkeypatch.setattr(looks_module, "_look", counting)
    return seen


def test_one_that_did_not_change_is_looked_at_once(environment: Environment, looked: list[str]) -> None:
    settle(environment)
    looks = Looks()
    first = looks.at(environment)
    assert looks.at(environment) is first
    assert len(looked) == 1
    assert (first.generation, first.previous, "install.log" in first.names) == (1, None, True)
    assert first.record is not None
    assert first.record.python_version == "3.11.7"


def test_one_that_changed_a_moment_ago_is_looked_at_again(
    environment: Environment, looked: list[str]
) -> None:
    """A second change within the same tick of the file system's clock has no other time stamp."""
    looks = Looks()
    looks.at(environment)
    looks.at(environment)
    assert len(looked) == 2


def test_one_that_is_not_there_is_empty_until_it_is(tmp_path: Path) -> None:
    looks, environment = Looks(), Store(tmp_path).environment("0123abcd")
    assert looks.at(environment) == Look(None, None, None, None, frozenset(), frozenset())
    build(environment, "3.12.0")
    assert looks.at(environment).generation == 1


def rebuild(environment: Environment) -> None:
    build(environment, "3.12.0")


def fail_a_build(environment: Environment) -> None:
    os.replace(environment.log_path, environment.log_path.with_name("install.log.1"))
    environment.log_path.write_text("failed\n")


def begin_a_build(environment: Environment) -> None:
    (environment.directory / "job.json").write_text("{}")


def damage(environment: Environment) -> None:
    environment.generation(1).discard_done()


def lock(environment: Environment) -> None:
    write_atomically(environment.generation(1).directory / "comfy-env.lock", b"version = 1\n")


def move_away(environment: Environment) -> None:
    shutil.move(environment.directory, environment.directory.with_name("elsewhere"))


@pytest.mark.parametrize(
    "change",
    [rebuild, fail_a_build, begin_a_build, damage, lock, discard, move_away],
    ids=lambda one: one.__name__,
)
def test_whatever_happens_to_it_is_seen_at_once(
    environment: Environment, change: Callable[[Environment], None]
) -> None:
    settle(environment)
    looks = Looks()
    before = looks.at(environment)
    change(environment)
    assert looks.at(environment) != before
    assert looks.at(environment) == Looks().at(environment)


def test_rolling_back_is_seen_at_once(environment: Environment) -> None:
    build(environment, "3.12.0")
    settle(environment)
    looks = Looks()
    assert looks.at(environment).generation == 2
    environment.roll_back()
    look = looks.at(environment)
    assert (look.generation, look.previous) == (1, environment.generation(2))
    assert look.record is not None
    assert look.record.python_version == "3.11.7"
