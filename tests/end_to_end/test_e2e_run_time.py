"""What ComfyUI offers to a node while it runs, and how nodes fail and stop: the same pack isolated and in ComfyUI's own
process, side by side in one server, so that whatever differs is ours."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from patience import PATIENCE_S

from host.base import PACKS, Place, install_pack, make_base
from host.events import EventStream
from host.fixtures import StartComfyUI
from host.server import ComfyUI

KILL_AFTER_S = 4.0
#: The stop button takes effect within this, where the node's code looks.
PROMPTLY_S = 0.2
#: How long the pack takes to import when it is told to be slow.
IMPORT_S = 10.0
#: What the page, its connection and a busy machine add to it.
TOLERANCE_S = 0.6

COPIES = ("Plain", "RunTime")
BOTH = pytest.mark.parametrize("copy", COPIES)


@pytest.fixture(scope="module")
def comfyui(place: Place, tmp_path_factory: pytest.TempPathFactory, start_comfyui: StartComfyUI) -> ComfyUI:
    base = make_base(tmp_path_factory.mktemp("run-time") / "base", [PACKS / "run-time"])
    plain = install_pack(base, PACKS / "run-time", "run-time-plain")
    (plain / "comfy-env.toml").unlink()
    server = start_comfyui(
        base,
        environment={**place.environment, "COMFY_ENV_INTERRUPT_KILL_S": str(KILL_AFTER_S)},
        arguments=["--preview-method", "latent2rgb", "--fast", "fp16_accumulation"],
    )
    server.wait_for_sites()
    server.wait_for_nodes("RunTimeAsk")
    return server


@pytest.fixture
def events(comfyui: ComfyUI) -> Iterator[EventStream]:
    with EventStream(comfyui.url) as stream:
        yield stream


def message(entry: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one message of that kind in a history entry."""
    kinds = [name for name, _ in entry["status"]["messages"]]
    assert kind in kinds, kinds
    found: dict[str, Any] = next(data for name, data in entry["status"]["messages"] if name == kind)
    return found


def run(
    comfyui: ComfyUI, copy: str, name: str, client_id: str | None = None, **inputs: Any
) -> dict[str, Any]:
    """The history entry of a prompt with one node, number 7."""
    return comfyui.queue({"7": {"class_type": copy + name, "inputs": inputs}}, client_id=client_id)


def shown(entry: dict[str, Any], node: str, name: str) -> Any:
    assert node in entry["outputs"], entry["status"]["messages"][-1]
    return json.loads(entry["outputs"][node][name][0])


def failure(comfyui: ComfyUI, copy: str, way: str) -> dict[str, Any]:
    """What the page is told of a node that fails."""
    return message(run(comfyui, copy, "Fail", way=way), "execution_error")


# -- what a node knows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Ask", "AskAsync"])
def test_a_node_knows_of_its_run_what_it_would_know_in_comfyui(
    comfyui: ComfyUI, events: EventStream, name: str
) -> None:
    def facts(copy: str) -> dict[str, Any]:
        entry = run(comfyui, copy, name, events.client_id)
        found: dict[str, Any] = shown(entry, "7", "facts")
        assert found.pop("last_prompt_id") == found["context"][0] == entry["prompt"][1]
        del found["context"][0]
        return found

    plain, isolated = facts("Plain"), facts("RunTime")
    assert isolated == plain
    assert plain["client_id"] == events.client_id and plain["last_node_id"] == "7"
    assert plain["preview_method"][0] is True and plain["fast"] == ["fp16_accumulation"]
    assert plain["types"] == ["Plain_meshes", "RunTime_meshes"]


def test_model_folders_of_an_isolated_pack_are_comfyuis(comfyui: ComfyUI) -> None:
    (comfyui.base_directory / "models" / "meshes").mkdir(exist_ok=True)
    (comfyui.base_directory / "models" / "meshes" / "cube.obj").touch()
    (comfyui.base_directory / "models" / "meshes" / "notes.txt").touch()
    for copy in COPIES:
        assert comfyui.get(f"/models/{copy}_meshes") == ["cube.obj"]


def test_a_record_of_a_worker_is_in_comfyuis_log_with_its_pack(comfyui: ComfyUI) -> None:
    run(comfyui, "RunTime", "Ask")
    comfyui.wait_until(
        lambda: "[comfy-env.run-time.run-time] a warning of the pack" in comfyui.log(), 5, "the warning"
    )
    assert "too much detail" not in comfyui.log()


# -- progress ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "value", "most", "pictures"),
    [("bar_with_picture", 2, 4, 1), ("registry", 3, 5, 0), ("api", 3, 6, 1), ("latent_preview", 4, 7, 1)],
)
@BOTH
def test_every_way_to_tell_progress_reaches_the_page(
    comfyui: ComfyUI, events: EventStream, copy: str, way: str, value: int, most: int, pictures: int
) -> None:
    entry = run(comfyui, copy, "TellProgress", events.client_id, way=way)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]

    def is_told(event: Any) -> bool:
        state = event.data.get("nodes", {}).get("7") if event.type == "progress_state" else None
        return bool(state) and (state["value"], state["max"]) == (value, most)

    events.wait_for(is_told, timeout_s=PATIENCE_S)
    events.wait_for(lambda event: event.type == "progress_state", timeout_s=PATIENCE_S)
    # The page of these tests does not say that it knows pictures with facts: it gets those of progress bars only.
    if pictures and way != "api":
        events.wait_for(lambda event: event.type == "binary", timeout_s=PATIENCE_S)


def test_two_async_nodes_tell_their_own_progress(comfyui: ComfyUI, events: EventStream) -> None:
    steps = {"a": 3, "b": 5}
    prompt = {
        node: {"class_type": "RunTimeTellProgressAsync", "inputs": {"steps": count}}
        for node, count in steps.items()
    }
    comfyui.queue(prompt, client_id=events.client_id)
    events.wait_for(lambda event: event.type == "execution_success", timeout_s=PATIENCE_S)
    told = {
        (node, state["max"])
        for event in events.received("progress_state")
        for node, state in event.data["nodes"].items()
        if state["max"] > 1
    }
    assert told == set(steps.items())


# -- what a node writes ------------------------------------------------------------------------------------------------


@BOTH
def test_what_a_node_writes_into_workflow_and_prompt_is_saved_with_the_picture(
    comfyui: ComfyUI, copy: str
) -> None:
    image = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": image},
        "7": {"class_type": f"{copy}WriteWorkflow", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": copy}},
    }
    workflow = {"nodes": [{"id": 1}, {"id": 7, "widgets_values": [""]}], "links": []}
    body = {"prompt": prompt, "extra_data": {"extra_pnginfo": {"workflow": workflow}}}
    entry = comfyui.wait_for_prompt(comfyui.post("/prompt", body)["prompt_id"])
    (saved,) = entry["outputs"]["9"]["images"]
    content = (comfyui.base_directory / "output" / saved["filename"]).read_bytes()
    assert b"what the node showed" in content and b"renamed by the node" in content


def test_an_entry_that_a_node_replaces_in_a_dict_is_replaced_for_all(comfyui: ComfyUI) -> None:
    def means(copy: str) -> list[float]:
        latent = {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1 + COPIES.index(copy)},
        }
        write = {"class_type": f"{copy}WriteLatent", "inputs": {"latent": ["1", 0], "factor": 2.0}}
        # One after the other: a node of its own cannot be told to wait, so it is asked in a second prompt.
        first = comfyui.queue({"1": latent, "2": write})
        again = comfyui.queue({"1": latent, "2": {**write, "inputs": {"latent": ["1", 0], "factor": 3.0}}})
        return [entry["outputs"]["2"]["mean"][0] for entry in (first, again)]

    assert means("RunTime") == means("Plain") == [2.0, 5.0]


def test_the_graph_that_a_node_walks_is_comfyuis(comfyui: ComfyUI) -> None:
    plain, isolated = (shown(run(comfyui, copy, "WalkGraph"), "7", "seen") for copy in COPIES)
    assert isolated == plain


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["own_error", "out_of_memory", "memory_error", "none", "number"])
def test_the_page_is_told_of_an_error_what_it_would_be_told_without_isolation(
    comfyui: ComfyUI, way: str
) -> None:
    def told(copy: str) -> dict[str, Any]:
        error = failure(comfyui, copy, way)
        kind = error["exception_type"].rpartition(".")[2]
        # Function and source line of each; the marks that newer Pythons put under parts of it do not travel.
        frames = [
            frame.split(", in ")[1].split("\n")[:2] for frame in error["traceback"] if "failures.py" in frame
        ]
        return {
            "kind": kind,
            "frames": frames,
            **{name: error[name] for name in ("exception_message", "node_id", "current_inputs")},
        }

    assert told("RunTime") == told("Plain")
    assert comfyui.log().count("Got an OOM") == (
        2 if way == "out_of_memory" else comfyui.log().count("Got an OOM")
    )


@pytest.mark.parametrize("way", ["too_few", "too_many", "text", "empty"])
def test_a_result_of_the_wrong_length_has_the_outcome_it_has_without_isolation(
    comfyui: ComfyUI, way: str
) -> None:
    def outcome(copy: str) -> Any:
        fail = {"class_type": f"{copy}Fail", "inputs": {"way": way}}
        show = {"class_type": f"{copy}ShowPair", "inputs": {"first": ["1", 0], "second": ["1", 1]}}
        entry = comfyui.queue({"1": fail, "2": show})
        kind, data = entry["status"]["messages"][-1]
        return kind, data.get("exception_message"), entry["outputs"].get("2")

    assert outcome("RunTime") == outcome("Plain")


def test_leaving_the_program_fails_the_node_only(comfyui: ComfyUI) -> None:
    error = failure(comfyui, "RunTime", "exit")
    assert error["exception_type"] == "SystemExit" and "no licence" in error["exception_message"]
    assert run(comfyui, "RunTime", "Ask")["status"]["status_str"] == "success"


@pytest.mark.parametrize(("way", "words"), [("exit_at_once", "exit code 3"), ("crash", "SIGSEGV")])
def test_a_process_that_ends_fails_the_node_with_its_last_lines_and_the_next_run_works(
    comfyui: ComfyUI, way: str, words: str
) -> None:
    error = failure(comfyui, "RunTime", way)
    assert error["exception_type"].endswith("WorkerCrashed") and error["node_id"] == "7"
    assert words in error["exception_message"] and "run-time.log" in error["exception_message"]
    assert ("last words" if way == "exit_at_once" else "failures.py") in error["exception_message"]
    assert run(comfyui, "RunTime", "Ask")["status"]["status_str"] == "success"


@BOTH
def test_what_cannot_be_pickled_goes_from_node_to_node(comfyui: ComfyUI, copy: str) -> None:
    keep = {"class_type": f"{copy}Keep", "inputs": {}}
    use = {"class_type": f"{copy}UseKept", "inputs": {"lock": ["1", 0]}}
    entry = comfyui.queue({"1": keep, "2": use})
    assert entry["outputs"]["2"] == {"kind": ["lock"], "locked": [True]}
    comfyui.wait_until(lambda: "printed from C" in comfyui.log(), PATIENCE_S, "the line from C")


# -- stopping ----------------------------------------------------------------------------------------------------------


def stop(comfyui: ComfyUI, events: EventStream, name: str, way: str) -> tuple[dict[str, Any], float]:
    """Stop a node that has told that it runs: its history entry, and how long it took in seconds."""
    prompt = {"7": {"class_type": f"RunTime{name}", "inputs": {"way": way}}}
    prompt_id = comfyui.submit(prompt, client_id=events.client_id)
    events.wait_for(
        lambda event: event.type == "progress" and event.data["prompt_id"] == prompt_id, timeout_s=PATIENCE_S
    )
    comfyui.post("/interrupt", {})
    begin = time.monotonic()
    ends = {"execution_interrupted", "execution_error", "execution_success"}
    events.wait_for(
        lambda event: event.type in ends and event.data["prompt_id"] == prompt_id, timeout_s=PATIENCE_S
    )
    return comfyui.wait_for_prompt(prompt_id), time.monotonic() - begin


@pytest.mark.parametrize(
    ("name", "way"), [("Run", "with_bar"), ("Run", "with_poll"), ("RunAsync", "with_bar")]
)
def test_a_node_that_looks_stops_promptly_and_the_next_run_works(
    comfyui: ComfyUI, events: EventStream, name: str, way: str
) -> None:
    entry, seconds = stop(comfyui, events, name, way)
    assert message(entry, "execution_interrupted")["node_id"] == "7"
    assert seconds < PROMPTLY_S + TOLERANCE_S
    assert run(comfyui, "RunTime", "Ask")["status"]["status_str"] == "success"


@pytest.mark.parametrize("way", ["stubbornly", "swallowing"])
def test_a_node_that_does_not_stop_is_stopped_with_its_process_and_the_error_says_what_is_lost(
    comfyui: ComfyUI, events: EventStream, way: str
) -> None:
    entry, seconds = stop(comfyui, events, "Run", way)
    error = message(entry, "execution_error")
    assert f"did not react to cancel within {KILL_AFTER_S:g} s" in error["exception_message"]
    assert "kept in memory" in error["exception_message"] and "run-time" in error["exception_message"]
    assert KILL_AFTER_S <= seconds < KILL_AFTER_S + 2
    assert run(comfyui, "RunTime", "Ask")["status"]["status_str"] == "success"


@pytest.mark.parametrize(("name", "begun"), [("Run", "executing"), ("Ask", "execution_start")])
def test_stop_while_the_pack_is_still_imported_is_prompt(
    comfyui: ComfyUI, events: EventStream, name: str, begun: str
) -> None:
    """Ask is imported for its IS_CHANGED, from which ComfyUI takes no interrupt: that has to outlast it."""
    flag = comfyui.base_directory / "input" / "import-slowly"
    failure(comfyui, "RunTime", "exit_at_once")  # the next run has to start the worker
    flag.touch()
    try:
        inputs = {"way": "with_bar"} if name == "Run" else {}
        prompt = {"7": {"class_type": f"RunTime{name}", "inputs": inputs}}
        prompt_id = comfyui.submit(prompt, client_id=events.client_id)
        events.wait_for(
            lambda event: event.type == begun and event.data.get("prompt_id") == prompt_id,
            timeout_s=PATIENCE_S,
        )
        time.sleep(1.0)  # into the import, or still before it: both are to be prompt
        comfyui.post("/interrupt", {})
        begin = time.monotonic()
        entry = comfyui.wait_for_prompt(prompt_id, timeout_s=PATIENCE_S)
        assert time.monotonic() - begin < IMPORT_S / 4
        assert message(entry, "execution_interrupted")["node_id"] == "7"
    finally:
        flag.unlink()
    assert run(comfyui, "RunTime", "Ask")["status"]["status_str"] == "success"


# -- the last test: it ends the server ---------------------------------------------------------------------------------


def test_a_warm_start_knows_the_folders_of_the_pack_and_starts_no_process(
    comfyui: ComfyUI, place: Place, start_comfyui: StartComfyUI
) -> None:
    comfyui.stop()
    again = start_comfyui(comfyui.base_directory, environment=place.environment)
    again.wait_for_nodes("RunTimeAsk")
    assert again.get("/models/RunTime_meshes") == ["cube.obj"]
    assert again.get("/comfy-env/status")["workers"] == []
