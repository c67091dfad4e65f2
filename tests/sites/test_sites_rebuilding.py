"""An environment that is rebuilt, rolled back or deleted while its nodes run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S, eventually

from comfy_env_core.environments.removal import EnvironmentBusy
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import Manager
from comfy_env_core.sites import freshness
from comfy_env_core.sites.failure import SiteNotReady
from comfy_env_core.sites.runtime import SiteRuntime

#: The node says which prefix it runs in, and waits for a file if it is told its name.
NODE = """
    import os, sys, time

    class Echo:
        FUNCTION = "echo"
        RETURN_TYPES = ("STRING",)
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"text": ("STRING",)}}
        def echo(self, text):
            while text and not os.path.exists(text):
                time.sleep(0.01)
            return (sys.prefix,)

    NODE_CLASS_MAPPINGS = {"Echo": Echo}
"""

House = Any  # the fixture's class; conftest modules cannot be imported by name
Echo = Callable[[Manager, str, str], Any]


@pytest.fixture(autouse=True)
def look_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(freshness, "LARGEST_SHARE", 1e9)


@pytest.fixture
def manager(house: House) -> Manager:
    house.pack("pack", __init__=NODE)
    manager: Manager = house.open()
    assert manager.wait(PATIENCE_S)
    return manager


def site(manager: Manager) -> SiteRuntime:
    return manager.sites["pack"]


def prefix(manager: Manager, number: int) -> tuple[str]:
    environment = site(manager).environment
    assert environment is not None
    return (str(environment.generation(number).prefix),)


def rebuild(manager: Manager) -> None:
    (job,) = manager.upkeep.rebuild([site(manager)])
    assert job.wait(PATIENCE_S).error is None


def settled_in(manager: Manager, number: int) -> bool:
    serving = site(manager).serving
    return serving is not None and serving.number == number and site(manager).is_complete()


def test_a_node_that_runs_ends_in_the_old_build_and_the_next_worker_starts_in_the_new_one(
    house: House, manager: Manager, run_echo: Echo, tmp_path: Path
) -> None:
    answers: list[tuple[str]] = []
    held = threading.Thread(target=lambda: answers.append(run_echo(manager, "pack", str(tmp_path / "go"))))
    held.start()
    assert eventually(lambda: any(worker.state.value == "busy" for worker in manager.workers.all_running()))
    rebuild(manager)
    assert site(manager).state is SiteState.READY
    (tmp_path / "go").touch()
    held.join(PATIENCE_S)
    assert answers == [prefix(manager, 1)]
    assert run_echo(manager, "pack", "") == prefix(manager, 1), "its worker goes on"
    manager.workers.stop("pack")
    assert run_echo(manager, "pack", "") == prefix(manager, 2)
    assert eventually(lambda: settled_in(manager, 2)), "and its nodes are described there"


def test_an_idle_worker_moves_to_the_new_build_at_once(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    assert run_echo(manager, "pack", "") == prefix(manager, 1)
    rebuild(manager)
    assert eventually(lambda: settled_in(manager, 2))
    assert run_echo(manager, "pack", "") == prefix(manager, 2)
    assert house.history.states["pack"][-3:] == ["stale", "describing", "ready"]


def test_nodes_that_were_described_in_an_earlier_build_are_described_anew_at_the_next_start(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    environment = site(manager).environment
    manager.shutdown()
    assert environment is not None
    other = house.open(workers=False, prepare=False)
    (job,) = other.upkeep.rebuild([site(other)])
    assert job.wait(PATIENCE_S).error is None
    other.shutdown()
    again = house.open(workers=False)
    assert site(again).state in (SiteState.STALE, SiteState.DESCRIBING)
    again.allow_workers()
    assert eventually(lambda: settled_in(again, 2))


def test_rolling_back_moves_the_nodes_to_the_build_before_and_once_more_to_the_new_one(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    rebuild(manager)
    assert eventually(lambda: settled_in(manager, 2))
    environment_id = site(manager).status().environment_id or ""
    for number in (1, 2):
        manager.upkeep.roll_back(environment_id)
        assert eventually(lambda number=number: settled_in(manager, number))
        assert run_echo(manager, "pack", "") == prefix(manager, number)


def test_an_environment_is_not_deleted_under_a_node_that_runs_and_can_be_built_again_after_it_was(
    house: House, manager: Manager, run_echo: Echo, tmp_path: Path
) -> None:
    environment = site(manager).environment
    assert environment is not None
    held = threading.Thread(target=lambda: run_echo(manager, "pack", str(tmp_path / "go")))
    held.start()
    assert eventually(lambda: any(worker.state.value == "busy" for worker in manager.workers.all_running()))
    with pytest.raises(EnvironmentBusy, match="nodes of 'pack' run or are prepared in "):
        manager.upkeep.delete(environment.id)
    (tmp_path / "go").touch()
    held.join(PATIENCE_S)
    manager.upkeep.delete(environment.id)
    assert not environment.directory.exists()
    with pytest.raises(SiteNotReady, match="it was deleted"):
        run_echo(manager, "pack", "")
    manager.prepare()
    assert manager.wait(PATIENCE_S)
    assert run_echo(manager, "pack", "") == prefix(manager, 1)
