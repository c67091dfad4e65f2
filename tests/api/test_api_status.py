"""What GET /comfy-env/status says, over real packs and real builds."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from api.conftest import MakeStage
from api.stage import Stage
from patience import PATIENCE_S, eventually

import comfy_env_core
from comfy_env_core.api.backend import HostFacts
from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.api.status import StatusJson, store_json
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode


def status(stage: Stage) -> StatusJson:
    """Checked against its declaration."""
    answer: StatusJson = stage.get("/status")
    check(answer, inline_schema(StatusJson))
    return answer


def test_everything_that_was_found_is_told_with_its_state_before_anything_is_built(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.add_pack("mistaken", "python = 3.10\n")
    stage.add_pack("gone.disabled")
    stage.add_pack("older")
    (stage.custom_nodes / "older" / "comfy-env.toml").rename(stage.custom_nodes / "older" / "comfy_env.toml")
    stage.open(prepare=False)
    told = status(stage)
    assert {site["id"]: site["state"] for site in told["sites"]} == {"mesh": "unbuilt", "mistaken": "failed"}
    (mistaken,) = [site for site in told["sites"] if site["id"] == "mistaken"]
    assert mistaken["failure"] is not None
    assert mistaken["failure"]["cause"] == "config"
    assert mistaken["config_path"] == str(stage.custom_nodes / "mistaken" / "comfy-env.toml")
    assert told["skipped"] == [{"name": "gone.disabled", "reason": "its name ends in .disabled"}]
    (mistake,) = told["mistakes"]
    assert mistake["path"].endswith("comfy_env.toml")
    assert "rename it to 'comfy-env.toml'" in mistake["remedy"]
    assert (told["builds"], told["workers"], told["jobs"], told["shared_memory"]) == ([], [], [], None)
    assert told["engine"] == {"setting": "auto", "last_used": None, "last_version": None}
    assert (told["version"], told["comfyui_version"]) == (comfy_env_core.__version__, "0.0-stage")


def test_a_ready_site_tells_what_serves_its_nodes(stage: Stage) -> None:
    stage.add_pack("mesh", "[options]\nunheard = 1\n[pypi-dependencies]\nsomething = '*'\n")
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    told = status(stage)
    (site,) = told["sites"]
    assert (site["state"], site["nodes"], site["is_root"]) == ("ready", ["Echo"], True)
    assert site["serving"] == {"environment_id": site["environment_id"], "generation": 1}
    assert site["python"] == ".".join(map(str, sys.version_info[:3]))
    assert told["engine"]["last_used"] == "scripted"
    (build,) = told["builds"]
    assert (build["state"], build["environment_id"]) == ("done", site["environment_id"])
    (worker,) = told["workers"]
    assert worker["site"] == "mesh"


def test_the_python_that_serves_is_known_after_a_warm_start_without_a_worker(stage: Stage) -> None:
    stage.add_ready_packs(1)
    stage.open(BuildMode.OFF)
    (site,) = status(stage)["sites"]
    assert site["state"] == "ready"
    assert site["python"] is not None
    assert status(stage)["workers"] == []


def test_a_build_under_way_is_told_with_its_phase(stage: Stage) -> None:
    stage.add_pack("mesh")
    course = stage.add_course("mesh", gate=threading.Event(), packages=4)
    stage.open()
    assert eventually(lambda: [build["phase"] for build in status(stage)["builds"]] == ["installing"])
    (site,) = status(stage)["sites"]
    assert site["state"] == "building"
    assert course.gate is not None
    course.gate.set()
    assert stage.manager.wait(PATIENCE_S)


def test_the_engine_that_the_user_asked_for_is_told(make_stage: MakeStage) -> None:
    stage = make_stage(environ={"COMFY_ENV_ENGINE": "embedded"}).open()
    assert status(stage)["engine"]["setting"] == "embedded"


def test_the_engine_that_was_chosen_in_the_settings_is_told_at_once(stage: Stage) -> None:
    stage.open()
    assert status(stage)["engine"]["setting"] == "auto"
    stage.post("/settings", {"engine": "embedded"})
    assert status(stage)["engine"]["setting"] == "embedded"


def test_a_server_for_everybody_says_why_nothing_may_be_changed_through_it(make_stage: MakeStage) -> None:
    facts = HostFacts(listens_remotely=True)
    policy = status(make_stage(facts=facts).open())["policy"]
    assert not policy["may_change"]
    assert policy["why_not"] is not None
    assert "--listen" in policy["why_not"]
    policy = status(make_stage(facts=facts, environ={"COMFY_ENV_ALLOW_REMOTE": "1"}).open())["policy"]
    assert (policy["may_change"], policy["why_not"]) == (True, None)


def test_the_disk_of_a_store_that_is_not_there_yet_is_the_one_that_it_would_be_on(tmp_path: Path) -> None:
    told = store_json(Store(tmp_path / "not" / "there"))
    assert told["problem"] is None
    assert told["free_bytes"] is not None
    assert not (tmp_path / "not").exists()


def test_a_store_that_is_a_file_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = store_json(Store(tmp_path / "file"))
    assert told["problem"] is not None
    assert "COMFY_ENV_ROOT" in told["problem"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        told = store_json(Store(tmp_path / "store"))
    finally:
        tmp_path.chmod(0o700)
    assert told["problem"] is not None
    assert "may not be written" in told["problem"]
