"""What is told of environments: in which state they are and why, whoever built them."""

from __future__ import annotations

import json
import os
import threading
import time

import psutil
import pytest
from api.conftest import MakeStage
from api.stage import Stage
from patience import PATIENCE_S, eventually

from comfy_env_core.api.environments import EnvironmentDetail, EnvironmentJson, EnvironmentList
from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.running_job import job_path
from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.manager import BuildMode

FAILURE = BuildError(
    BuildCause.NO_MATCHING_WHEEL, "There is no wheel of 'gone' here.", "Ask for another version."
)


def environments(stage: Stage) -> list[EnvironmentJson]:
    """Checked against their declaration."""
    answer: EnvironmentList = stage.get("/environments")
    check(answer, inline_schema(EnvironmentList))
    return answer["environments"]


def only(stage: Stage) -> EnvironmentJson:
    (one,) = environments(stage)
    return one


def detail(stage: Stage, environment_id: str) -> EnvironmentDetail:
    answer: EnvironmentDetail = stage.get(f"/environments/{environment_id}")
    check(answer, inline_schema(EnvironmentDetail))
    return answer


def settled(stage: Stage) -> Stage:
    assert stage.open().manager.wait(PATIENCE_S)
    return stage


@pytest.mark.parametrize("path", ["", "/lock", "/manifest"])
@pytest.mark.parametrize("id_", ["0123abcd", "..", "%2e%2e%2fstore", "0123ABCD", "x"])
def test_an_id_that_is_none_is_refused(stage: Stage, id_: str, path: str) -> None:
    stage.add_pack("mesh")
    stage.open(prepare=False)
    answer = stage.request("GET", f"/comfy-env/environments/{id_}{path}")
    assert answer.status == 404
    assert answer.json["error"]["code"] in ("unknown_environment", "unknown_route")


def test_packs_with_the_same_file_share_one_environment(stage: Stage) -> None:
    stage.add_pack("one", "# same\n[pypi-dependencies]\nsomething = '*'\n")
    stage.add_pack("two", "# same\n[pypi-dependencies]\nsomething = '*'\n")
    told = only(settled(stage))
    assert (told["sites"], told["packs"]) == (["one", "two"], ["one", "two"])
    assert (told["state"], told["reason"], told["error"]) == ("done", None, None)
    assert (told["engine"], told["generation"]) == ({"name": "scripted", "version": "1"}, 1)
    assert (told["package_count"], told["can_roll_back"]) == (3, False)
    assert (told["has_log"], told["has_lock"], told["size"]) == (True, False, None)


def test_one_environment_is_told_with_its_packages_and_builds(stage: Stage) -> None:
    pack = stage.add_pack("mesh", "[pypi-dependencies]\nsomething = '*'\n")
    told = detail(stage, only(settled(stage))["id"])
    assert {"name": "something", "version": "1.0", "source": "pypi"} in told["packages"]
    assert told["config_path"] == str(pack / "comfy-env.toml")
    assert [(one["number"], one["is_current"], one["is_previous"]) for one in told["generations"]] == [
        (1, True, False)
    ]
    assert any(fact.startswith("host_need=") for fact in told["facts"])
    assert told["log_path"].startswith(told["directory"])


def test_a_failed_build_is_told_with_cause_and_remedy(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.add_course("mesh", failure=FAILURE)
    told = only(settled(stage))
    assert told["state"] == "failed"
    assert told["error"] == {
        "cause": "no_matching_wheel",
        "message": FAILURE.message,
        "remedy": FAILURE.remedy,
    }
    assert told["reason"] == FAILURE.message
    assert told["build"] is not None
    assert told["build"]["state"] == "failed"


def test_a_build_that_failed_at_an_earlier_start_is_told_from_its_log(
    make_stage: MakeStage, stage: Stage
) -> None:
    stage.add_pack("mesh")
    stage.add_course("mesh", failure=FAILURE)
    told = only(settled(stage))
    stage.manager.shutdown()
    later = make_stage()
    later.store = stage.store
    (again,) = environments(later.open(BuildMode.OFF))
    assert (again["id"], again["state"], again["sites"]) == (told["id"], "failed", [])
    assert again["error"] is not None
    assert again["error"]["cause"] == "earlier_build"
    assert again["error"]["message"].startswith(FAILURE.message)


def test_while_it_is_built_phase_and_progress_are_told(stage: Stage) -> None:
    stage.add_pack("mesh")
    course = stage.add_course("mesh", gate=threading.Event(), packages=4)
    stage.open()
    assert eventually(lambda: [one["state"] for one in environments(stage)] == ["building"])
    assert eventually(lambda: (only(stage)["build"] or {}).get("packages_done") == 4)
    told = only(stage)
    assert told["build"] is not None
    assert (told["build"]["phase"], told["build"]["percent"]) == ("installing", 100.0)
    assert told["reason"] == "installing: installing"
    assert not told["built_elsewhere"]
    assert course.gate is not None
    course.gate.set()
    assert stage.manager.wait(PATIENCE_S)


def test_a_build_of_another_process_is_told_as_such(stage: Stage) -> None:
    stage.open()
    environment = stage.store.environment("0123abcd")
    environment.directory.mkdir(parents=True)
    parent = psutil.Process(os.getppid())
    job = {
        "job_id": "f" * 12,
        "environment_id": environment.id,
        "pid": parent.pid,
        "process_started_at": parent.create_time(),
        "state": "building",
        "phase": "installing",
        "text": "torch",
        "percent": 40.0,
        "started_at": time.time(),
        "elapsed_s": 3.0,
        "updated_at": time.time(),
    }
    job_path(environment).write_text(json.dumps(job))
    told = only(stage)
    assert (told["state"], told["built_elsewhere"]) == ("building", True)
    assert told["reason"] == f"Process {parent.pid} of this computer builds it. installing: torch"
    assert told["build"] is not None
    assert told["build"]["percent"] == 40.0
    job_path(environment).write_text(json.dumps({**job, "state": "unheard of"}))
    assert only(stage)["state"] == "missing"


def test_one_that_no_pack_uses_is_told_as_such(stage: Stage) -> None:
    stage.add_pack("mesh")
    told = only(settled(stage))
    (stage.custom_nodes / "mesh" / "comfy-env.toml").write_text("# another\n")
    stage.manager.upkeep.build([stage.manager.sites["mesh"]])
    assert stage.manager.wait(PATIENCE_S)
    assert eventually(lambda: len(environments(stage)) == 2)
    (orphan,) = [one for one in environments(stage) if one["id"] == told["id"]]
    assert (orphan["sites"], orphan["state"]) == ([], "done")
    assert orphan["reason"] == "No pack of this ComfyUI uses it."


def test_an_environment_whose_nodes_fail_says_whose_and_why(stage: Stage) -> None:
    stage.add_pack("broken", files={"__init__.py": "import not_there\n"})
    told = only(settled(stage))
    assert told["state"] == "done"
    assert told["reason"] is not None
    assert told["reason"].startswith("It is built. broken failed all the same: ")


def test_what_another_tool_made_is_told_as_such(stage: Stage) -> None:
    stage.open()
    (stage.store.environment("0123abcd").directory / ".pixi").mkdir(parents=True)
    told = only(stage)
    assert told["state"] == "missing"
    assert told["reason"] is not None
    assert "Another tool" in told["reason"]


def test_a_damaged_record_hides_nothing_else(stage: Stage) -> None:
    stage.add_pack("mesh")
    told = only(settled(stage))
    workspace = stage.store.environment(told["id"]).generation(1)
    write_atomically(workspace.meta_path, b"{")
    again = only(stage)
    assert (again["state"], again["generation"], again["python"]) == ("done", 1, None)
    assert detail(stage, told["id"])["packages"] == []


def test_the_lock_and_the_manifest_of_a_build_are_text(stage: Stage) -> None:
    stage.add_pack("mesh", "[pypi-dependencies]\nsomething = '*'\n")
    id_ = only(settled(stage))["id"]
    lock = stage.request("GET", f"/comfy-env/environments/{id_}/lock")
    assert (lock.status, lock.json["error"]["code"]) == (404, "no_file")
    (stage.store.environment(id_).generation(1).directory / LOCK_NAME).write_text("version = 1\n")
    lock = stage.request("GET", f"/comfy-env/environments/{id_}/lock")
    assert (lock.status, lock.text) == (200, "version = 1\n")
    assert lock.headers["content-type"].startswith("text/plain")
    manifest = stage.request("GET", f"/comfy-env/environments/{id_}/manifest")
    assert "something" in manifest.text


def test_passwords_in_a_manifest_are_not_shown(stage: Stage) -> None:
    stage.add_pack("mesh")
    id_ = only(settled(stage))["id"]
    stage.store.environment(id_).generation(1).manifest_path.write_text(
        'index = "https://me:secret@example.org/simple"\n'
    )
    text = stage.request("GET", f"/comfy-env/environments/{id_}/manifest").text
    assert "secret" not in text
    assert "https://***@example.org/simple" in text


def test_many_environments_are_listed_by_their_ids(stage: Stage) -> None:
    stage.add_ready_packs(12)
    stage.open(BuildMode.OFF)
    ids = [one["id"] for one in environments(stage)]
    assert len(ids) == 12
    assert ids == sorted(ids)
