"""Workers stay warm from prompt to prompt, and give their memory back when ComfyUI is asked to."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from host.base import PACKS, Place, make_base
from host.fixtures import StartComfyUI
from host.installation import OLDEST, prepare
from host.server import ComfyUI

MB = 1024 * 1024
TURNS = itertools.count(1)
EVERYTHING = {"unload_models": True, "free_memory": True}


@pytest.fixture(scope="module")
def base(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("memory") / "base", [PACKS / "memory-holder"])


@pytest.fixture(scope="module")
def server(place: Place, base: Path, start_comfyui: StartComfyUI) -> ComfyUI:
    server = start_comfyui(base, environment=place.environment)
    assert server.wait_for_sites()["memory-holder"]["state"] == "ready"
    server.wait_for_nodes("MemoryShow", timeout_s=30)
    return server


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": f"Memory{kind}", "inputs": inputs}


def show(server: ComfyUI) -> dict[str, Any]:
    """What the worker says of itself. The other nodes of the last prompt are dropped by this."""
    outputs: dict[str, Any] = server.queue({"90": node("Show", turn=next(TURNS))})["outputs"]["90"]
    return outputs


def hold(server: ComfyUI, megabytes: int, kind: str = "HoldInSelf") -> dict[str, Any]:
    entry = server.queue({"1": node(kind, megabytes=megabytes, turn=next(TURNS))})
    outputs: dict[str, Any] = entry["outputs"]["1"]
    return outputs


def worker_state(server: ComfyUI) -> str:
    (worker,) = server.get("/comfy-env/status")["workers"]
    return str(worker["state"])


def rss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / MB)


def free(server: ComfyUI, request: dict[str, bool], is_free: Callable[[], bool]) -> None:
    """Ask until it is done: ComfyUI does not hear it while it tidies up after a prompt."""

    def ask() -> bool:
        server.post("/free", request)
        return is_free()

    server.wait_until(ask, 30, f"{request} to have an effect", poll_s=0.5)


def assert_gives_back(server: ComfyUI) -> None:
    pid = hold(server, 500)["pid"][0]
    full = rss_mb(pid)
    free(server, EVERYTHING, lambda: rss_mb(pid) < full - 450)


def test_free_gives_the_memory_of_a_worker_back(server: ComfyUI) -> None:
    assert_gives_back(server)
    assert show(server)["holders"] == []


def test_free_lets_go_of_objects_that_only_comfyuis_cache_held(server: ComfyUI) -> None:
    prompt = {"2": node("MakeBlock", megabytes=500), "3": node("Show", turn=next(TURNS), block=["2", 0])}
    shown = server.queue(prompt)["outputs"]["3"]
    (worker,) = server.get("/comfy-env/status")["workers"]
    pid = shown["pid"][0]
    full = rss_mb(pid)
    assert (shown["block"], worker["pid"], worker["objects"]) == ([500 * MB], pid, 1)
    assert worker["rss_bytes"] / MB == pytest.approx(full, rel=0.1)

    free(server, EVERYTHING, lambda: rss_mb(pid) < full - 450)

    (worker,) = server.get("/comfy-env/status")["workers"]
    assert (worker["objects"], worker["state"]) == (0, "idle")


def test_unload_models_unloads_the_workers_and_leaves_what_nodes_remember(server: ComfyUI) -> None:
    def run(model: str) -> dict[str, Any]:
        prompt = {
            "1": node("HoldInSelf", megabytes=1, turn=next(TURNS)),
            "4": node("LoadModel", name=model),
            # Of nodes that nothing connects, ComfyUI runs now one first, now the other.
            "5": node("Show", turn=next(TURNS), after=["4", 0]),
        }
        outputs: dict[str, Any] = server.queue(prompt)["outputs"]
        return outputs

    assert run("a")["5"]["loaded"] == [1]
    free(server, {"unload_models": True}, lambda: run("a")["5"]["loaded"] == [0])
    outputs = run("b")
    assert outputs["5"]["loaded"] == [1]
    assert len(outputs["1"]["turns"]) >= 3, "the node is the same since the first run"


def test_two_queued_prompts_run_in_order_in_one_warm_worker(server: ComfyUI) -> None:
    turns = [next(TURNS), next(TURNS)]
    prompts = [server.submit({"7": node("HoldInSelf", megabytes=1, turn=turn)}) for turn in turns]
    first, second = (server.wait_for_prompt(prompt)["outputs"]["7"] for prompt in prompts)

    assert first["pid"] == second["pid"]
    assert (first["turns"], second["turns"]) == (turns[:1], turns)


def test_the_same_node_id_with_another_class_is_a_new_node_and_the_old_one_goes(server: ComfyUI) -> None:
    hold(server, 1)
    other = hold(server, 1, "HoldOtherwise")
    prompt = {
        "1": node("HoldOtherwise", megabytes=1, turn=next(TURNS)),
        "8": node("Show", turn=next(TURNS)),
    }
    after = server.queue(prompt)["outputs"]

    assert len(other["turns"]) == 1
    assert len(after["1"]["turns"]) == 2
    assert after["8"]["holders"] == ["HoldOtherwise"]


def test_a_worker_killed_between_two_prompts_is_replaced(server: ComfyUI) -> None:
    pid = show(server)["pid"][0]
    psutil.Process(pid).kill()
    server.wait_until(lambda: worker_state(server) == "crashed", 60, "the death to be noticed")

    assert show(server)["pid"] != [pid]


def test_files_that_change_while_comfyui_runs_are_noticed_and_said(server: ComfyUI, base: Path) -> None:
    before = show(server)["pid"]
    os.utime(base / "custom_nodes" / "memory-holder" / "__init__.py")

    def is_noticed() -> bool:
        assert show(server)["pid"] == before, "the nodes go on with the code that they have"
        return server.sites()["memory-holder"]["state"] == "stale"

    server.wait_until(is_noticed, 30, "the change to be noticed")
    assert "restart ComfyUI" in server.sites()["memory-holder"]["notice"]
    assert "memory-holder: its files changed while ComfyUI runs" in server.log()


@pytest.mark.usefixtures("server")  # builds the environment, which both share
def test_free_gives_memory_back_in_the_oldest_supported_comfyui(
    place: Place, base: Path, tmp_path: Path
) -> None:
    with ComfyUI(prepare(OLDEST), tmp_path / "comfyui.log") as oldest:
        oldest.start(make_base(tmp_path / "base", [PACKS / "memory-holder"]), environment=place.environment)
        assert oldest.wait_for_sites()["memory-holder"]["state"] == "ready"
        oldest.wait_for_nodes("MemoryShow", timeout_s=30)
        assert_gives_back(oldest)
