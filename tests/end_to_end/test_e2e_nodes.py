"""Isolated nodes do what ComfyUI's own do: fail, keep state, report progress, stop, validate; and survive a crash."""

from __future__ import annotations

import json
from typing import Any

import psutil
import pytest
from patience import PATIENCE_S

from host.events import EventStream
from host.server import ComfyUI, ServerError

SMALL_IMAGE = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}


def worker_pid(comfyui: ComfyUI) -> int:
    """The process that runs the legacy pack's nodes now."""
    prompt = {"1": SMALL_IMAGE, "2": {"class_type": "LegacyAskWhere", "inputs": {"image": ["1", 0]}}}
    # A fresh picture each time, or ComfyUI would answer from its cache.
    prompt["1"] = {**SMALL_IMAGE, "inputs": {**SMALL_IMAGE["inputs"], "color": next(COLOURS)}}  # type: ignore[dict-item]
    shown = comfyui.queue(prompt)["outputs"]["2"]["text"][0]
    return int(json.loads(shown)["pid"])


COLOURS = iter(range(1, 1000))


def message(entry: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one message of that kind in a history entry."""
    found: dict[str, Any] = next(data for name, data in entry["status"]["messages"] if name == kind)
    return found


def slow(steps: int, step_s: float) -> dict[str, Any]:
    return {"7": {"class_type": "LegacyWorkSlowly", "inputs": {"steps": steps, "step_s": step_s}}}


def test_an_error_keeps_its_type_message_and_the_workers_traceback(comfyui: ComfyUI) -> None:
    entry = comfyui.queue({"1": {"class_type": "LegacyFailLoudly", "inputs": {"colour": "octarine"}}})

    error = message(entry, "execution_error")
    assert error["exception_type"].endswith("PaletteError")
    assert "no such colour: 'octarine'" in error["exception_message"]
    trace = "".join(error["traceback"])
    assert "behaviours.py" in trace
    assert "look_up_colour" in trace


def test_a_refused_input_is_refused_in_the_packs_own_words(comfyui: ComfyUI) -> None:
    with pytest.raises(ServerError, match="13 brings bad luck"):
        comfyui.submit({"1": {"class_type": "LegacyChooseStep", "inputs": {"step": 13}}})


def test_a_pack_that_validates_an_input_itself_switches_comfyuis_own_check_off(comfyui: ComfyUI) -> None:
    entry = comfyui.queue({"1": {"class_type": "LegacyChooseStep", "inputs": {"step": 5000}}})

    assert entry["outputs"]["1"]["step"] == [5000]


def test_an_input_the_pack_does_not_validate_is_checked_by_comfyui(comfyui: ComfyUI) -> None:
    with pytest.raises(ServerError, match="value_bigger_than_max"):
        comfyui.submit({"7": {"class_type": "LegacyWorkSlowly", "inputs": {"steps": 10**9, "step_s": 0.1}}})


def test_is_changed_decides_whether_an_unchanged_node_runs_again(comfyui: ComfyUI) -> None:
    def runs(node_id: str, step: int) -> list[int] | None:
        entry = comfyui.queue({node_id: {"class_type": "LegacyChooseStep", "inputs": {"step": step}}})
        shown: list[int] | None = (
            entry["outputs"].get(node_id, {}).get("runs")
        )  # absent: answered from the cache
        return shown

    assert [runs("30", 20), runs("30", 20)] == [[1], None]
    assert [runs("31", 21), runs("31", 21)] == [[1], [2]]


def test_state_is_kept_per_node_of_the_workflow(comfyui: ComfyUI) -> None:
    prompt = {name: {"class_type": "LegacyCountCalls", "inputs": {}} for name in ("40", "41")}
    comfyui.queue(prompt)

    entry = comfyui.queue(prompt)

    assert [entry["outputs"][name]["calls"] for name in ("40", "41")] == [[2], [2]]


def test_progress_is_reported_for_the_node_that_runs(comfyui: ComfyUI) -> None:
    with EventStream(comfyui.url) as events:
        comfyui.queue(slow(steps=5, step_s=0.05), client_id=events.client_id)
        last = events.wait_for(
            lambda event: event.type == "progress" and event.data["value"] == 5, timeout_s=PATIENCE_S
        )

    assert (last.data["max"], last.data["node"]) == (5, "7")


def test_an_interrupt_stops_the_node_and_leaves_its_worker_alive(comfyui: ComfyUI) -> None:
    before = worker_pid(comfyui)
    with EventStream(comfyui.url) as events:
        prompt_id = comfyui.submit(slow(steps=1000, step_s=0.05), client_id=events.client_id)
        events.wait_for(lambda event: event.type == "progress", timeout_s=30)
        comfyui.post("/interrupt", {})
        entry = comfyui.wait_for_prompt(prompt_id, timeout_s=PATIENCE_S)

    assert message(entry, "execution_interrupted")["node_id"] == "7"
    assert worker_pid(comfyui) == before


def test_a_killed_worker_fails_the_node_by_name_and_the_next_run_works(comfyui: ComfyUI) -> None:
    worker = worker_pid(comfyui)
    with EventStream(comfyui.url) as events:
        prompt_id = comfyui.submit(slow(steps=1000, step_s=0.05), client_id=events.client_id)
        events.wait_for(lambda event: event.type == "progress", timeout_s=30)
        psutil.Process(worker).kill()
        entry = comfyui.wait_for_prompt(prompt_id, timeout_s=PATIENCE_S)

    error = message(entry, "execution_error")
    assert "legacy-numpy" in error["exception_message"]
    assert "SIGKILL" in error["exception_message"]
    assert worker_pid(comfyui) != worker
