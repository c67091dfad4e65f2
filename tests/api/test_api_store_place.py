"""Moving the store by a click: refused while anything is at work, and gone on with by the old path."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from api.conftest import MakeStage
from api.stage import NODE, Stage
from patience import PATIENCE_S

from comfy_env_core.api import store_place
from comfy_env_core.environments.disks import StorePlace
from comfy_env_core.environments.links import is_link

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the environments of a stage are POSIX ones")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One other disk."""
    place = tmp_path / "disk" / "comfy-env-store"
    monkeypatch.setattr(
        store_place,
        "store_places",
        lambda store: (
            StorePlace("default", store.root, 1, 2),
            StorePlace("0123abcd", place, 10**12, 10**12),
        ),
    )
    return place


@pytest.fixture
def stage(make_stage: MakeStage, disk: Path) -> Stage:
    stage = make_stage(environ={"COMFY_ENV_ROOT": ""})
    stage.add_pack("mesh")
    return stage


def refusal(stage: Stage, place: str) -> tuple[int, str, str]:
    answer = stage.request("POST", "/comfy-env/store/move", {"place": place})
    error = answer.json["error"]
    assert error["remedy"]
    return answer.status, error["code"], error["message"]


def test_a_path_is_no_place(stage: Stage, disk: Path) -> None:
    stage.open()
    for text in (str(disk), "../disk", "nowhere", ""):
        status, code, _ = refusal(stage, text)
        assert (status, code) == (404, "unknown_place")


def test_a_store_that_a_variable_names_is_not_moved_from_here(make_stage: MakeStage, disk: Path) -> None:
    stage = make_stage().open()
    assert stage.get("/settings")["store"]["fixed_by"] == "COMFY_ENV_ROOT"
    status, code, message = refusal(stage, "0123abcd")
    assert (status, code) == (409, "not_possible") and "COMFY_ENV_ROOT" in message


def test_while_something_is_built_nothing_is_moved(stage: Stage, disk: Path) -> None:
    stage.add_course("mesh", seconds=60)
    stage.open()
    stage.wait_for_event("comfy-env.changes", lambda data: data["builds"])
    status, code, message = refusal(stage, "0123abcd")
    assert (status, code) == (409, "busy") and "Being built: " in message
    assert not disk.parent.exists()


def test_a_worker_that_works_is_in_the_way_and_named(stage: Stage, disk: Path) -> None:
    stage.add_pack("slow", files={"__init__.py": NODE.replace("return (", "__import__('time').sleep(60), (")})
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    runtime = stage.manager.sites["slow"]
    request = {
        "class": [runtime.own_module_name, "Echo"],
        "instance": "1",
        "function": "echo",
        "args": [],
        "kwargs": {"text": ""},
        "context": {"prompt_id": None, "node_id": None, "list_index": None},
    }
    stage.manager.run(runtime, request)
    status, code, message = refusal(stage, "0123abcd")
    assert (status, code) == (409, "busy") and "slow" in message
    assert not disk.parent.exists() and not is_link(stage.store.root)


def test_a_disk_that_refuses_ends_the_job_with_what_to_do(stage: Stage, disk: Path) -> None:
    disk.parent.write_text("a file")
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    job = stage.wait_for_job(stage.post("/store/move", {"place": "0123abcd"}))
    assert (job["state"], job["error"]["cause"]) == ("failed", "disk")
    assert "goes on where it stopped" in job["error"]["remedy"]
    assert stage.run_node("mesh") is not None


def test_the_store_is_moved_and_everything_goes_on_by_the_old_path(stage: Stage, disk: Path) -> None:
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    stage.run_node("mesh")  # an idle worker is no hindrance
    job = stage.wait_for_job(stage.post("/store/move", {"place": "0123abcd"}), 60)
    assert job["state"] == "done", job
    assert job["result"] == {"lies_at": str(disk), "built_anew": []}
    assert is_link(stage.store.root) and os.path.realpath(stage.store.root) == str(disk)
    stage.run_node("mesh")
    stage.wait_for_event("comfy-env.changes", lambda data: data["settings"])
    store = stage.get("/settings")["store"]
    assert (store["root"], store["is_link"]) == (str(stage.store.root), True)
    assert {place["id"]: place["is_current"] for place in store["places"]} == {
        "default": False,
        "0123abcd": True,
    }
    stage.post("/settings", {"max_workers": 5})
    assert (disk / "settings.json").is_file(), "settings move with the store"
    stage.manager.workers.stop("mesh")
    job = stage.wait_for_job(stage.post("/store/move", {"place": "default"}), 60)
    assert job["state"] == "done", job
    assert not is_link(stage.store.root)
    shutil.rmtree(disk.parent)
    assert stage.run_node("mesh") is not None
