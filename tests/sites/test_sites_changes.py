"""What changes on disk while ComfyUI runs: source, comfy-env.toml, the environment itself."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S

from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import BuildMode, Manager
from comfy_env_core.sites import freshness
from comfy_env_core.sites.failure import SiteNotReady

#: The file says which code runs.
NODE = """
    class Echo:
        FUNCTION = "echo"
        RETURN_TYPES = ("STRING",)
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"text": ("STRING",)}}
        def echo(self, text):
            return (text + " from VERSION",)

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
    house.pack("pack", __init__=NODE.replace("VERSION", "one"))
    manager: Manager = house.open()
    assert manager.wait(PATIENCE_S)
    return manager


def pid_of(manager: Manager) -> int:
    (worker,) = manager.workers.status()["workers"]
    return int(worker["pid"])


def notice(manager: Manager) -> str | None:
    site = manager.sites["pack"].status().as_json()
    return site["notice"]  # type: ignore[no-any-return]


def test_changed_source_is_said_and_the_nodes_go_on_with_what_they_have(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    assert run_echo(manager, "pack", "a") == ("a from one",)
    pid = pid_of(manager)
    house.pack("pack", __init__=NODE.replace("VERSION", "three"))
    assert run_echo(manager, "pack", "b") == ("b from one",)
    assert pid_of(manager) == pid
    assert manager.sites["pack"].state is SiteState.STALE
    assert "restart ComfyUI to use the new" in (notice(manager) or "")
    assert house.history.states["pack"][-1] == "stale"


def test_a_worker_that_starts_anew_on_changed_source_says_so(
    house: House, manager: Manager, run_echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    """It holds the new code and none of the old; the nodes that ComfyUI shows are those of before."""
    house.pack("pack", __init__=NODE.replace("VERSION", "three"))
    run_echo(manager, "pack", "a")
    manager.workers.stop("pack")
    with caplog.at_level(logging.WARNING):
        assert run_echo(manager, "pack", "b") == ("b from three",)
    assert "pack: its worker starts anew, from files that changed" in caplog.text


def test_changed_source_is_described_anew_at_the_next_start_of_comfyui(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    house.pack(
        "pack", __init__=NODE.replace("VERSION", "three").replace("Echo", "Echo2").replace("Echo2:", "Echo:")
    )
    manager.shutdown()
    house.pack("pack", __init__=NODE.replace("VERSION", "three"))
    again = house.open()
    assert again.wait(PATIENCE_S)
    assert run_echo(again, "pack", "a") == ("a from three",)
    assert notice(again) is None


def test_changed_toml_is_told_apart_from_changed_source(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    (house.custom_nodes / "pack" / "comfy-env.toml").write_text("# something else\n")
    assert run_echo(manager, "pack", "a") == ("a from one",)
    assert "its comfy-env.toml changed" in (notice(manager) or "")


def test_a_module_that_is_wanted_after_the_change_comes_from_new_code_alone(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    """Never half old, half new code in one process: the worker with the old code has to go."""
    run_echo(manager, "pack", "a")
    pid = pid_of(manager)
    root: Path = house.pack(
        "pack",
        __init__=NODE.replace("VERSION", "three"),
        extra="from . import Echo\nclass More(Echo): pass\n",
    )
    runtime = manager.sites["pack"]
    assert runtime.describe_for_host(runtime.module_name_of(root / "extra.py")) is None
    assert manager.wait(PATIENCE_S)
    assert runtime.wait_for_description(runtime.module_name_of(root / "extra.py")) is not None
    assert pid_of(manager) != pid
    assert run_echo(manager, "pack", "b") == ("b from three",)


def test_a_file_that_is_only_looked_at_changes_nothing(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    (house.custom_nodes / "pack" / "__init__.py").read_text()
    (house.custom_nodes / "pack" / "picture.png").write_bytes(b"")
    run_echo(manager, "pack", "a")
    assert manager.sites["pack"].state is SiteState.READY


@pytest.mark.parametrize("has_worker", [True, False])
def test_a_deleted_environment_is_built_anew(
    house: House, manager: Manager, run_echo: Echo, has_worker: bool, caplog: pytest.LogCaptureFixture
) -> None:
    run_echo(manager, "pack", "a")
    if not has_worker:
        manager.workers.stop("pack")
    shutil.rmtree(house.store.root / f"_env_{manager.sites['pack'].status().environment_id}")
    with caplog.at_level(logging.WARNING), pytest.raises(SiteNotReady, match=r"still|not built"):
        run_echo(manager, "pack", "b")
    assert "its environment was deleted while ComfyUI runs; it is built anew" in caplog.text
    assert manager.wait(PATIENCE_S)
    assert run_echo(manager, "pack", "c") == ("c from one",)
    assert house.engine.builds == 2


def test_a_deleted_environment_is_not_built_where_building_is_off(house: House, run_echo: Echo) -> None:
    house.pack("pack", __init__=NODE)
    first = house.open()
    assert first.wait(PATIENCE_S)
    first.shutdown()
    manager = house.open(BuildMode.OFF)
    shutil.rmtree(house.store.root / f"_env_{manager.sites['pack'].status().environment_id}")
    with pytest.raises(SiteNotReady, match="COMFY_ENV_BUILD"):
        run_echo(manager, "pack", "a")


def test_an_environment_deleted_between_two_starts_is_built_and_serves(
    house: House, manager: Manager, run_echo: Echo
) -> None:
    """What its nodes are was known already: nothing had to be described."""
    environment = house.store.root / f"_env_{manager.sites['pack'].status().environment_id}"
    manager.shutdown()
    shutil.rmtree(environment)
    again = house.open()
    assert again.wait(PATIENCE_S)
    assert run_echo(again, "pack", "a") == ("a from one",)


def test_looking_costs_nothing_between_two_looks(
    house: House, manager: Manager, run_echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "LOOK_EVERY_S", 1000.0)
    run_echo(manager, "pack", "a")
    os.utime(house.custom_nodes / "pack" / "__init__.py")
    run_echo(manager, "pack", "b")
    assert manager.sites["pack"].state is SiteState.READY


def test_nodes_that_are_called_at_once_say_it_once(house: House, manager: Manager, run_echo: Echo) -> None:
    run_echo(manager, "pack", "warm")
    house.pack("pack", __init__=NODE.replace("VERSION", "three"))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda text: run_echo(manager, "pack", text), "abcdefgh"))
    assert answers == [(f"{text} from one",) for text in "abcdefgh"]
    assert house.history.states["pack"].count("stale") == 1
