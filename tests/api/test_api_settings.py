"""Settings over HTTP: refused where they are wrong, written where they are right, and in effect when it is said."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from api.conftest import MakeStage
from api.stage import Stage
from patience import PATIENCE_S, eventually

from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.api.settings import SettingsChange, SettingsJson
from comfy_env_core.manager import BuildMode
from comfy_env_core.settings.table import BY_NAME, SETTINGS

#: The environment of whoever runs the tests may set some.
UNSET = {name: "" for setting in SETTINGS for name in (setting.variable, *setting.others)}


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    return make_stage(environ=UNSET)


def by_name(answer: Any) -> dict[str, Any]:  # Any: JSON
    return {one["name"]: one for one in answer["settings"]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"max_workers": -1}, "max_workers"),
        ({"max_workers": 2000}, "max_workers"),
        ({"max_workers": "2"}, "max_workers"),
        ({"engine": "conda"}, "engine"),
        ({"max_worker": 2}, "max_worker"),
        ({"pypi_index": "file:///etc/passwd"}, "http"),
        ({"pypi_index": "https://me:hunter2@mirror.example/simple"}, ".netrc"),
        ({"pypi_index": "--index-url=https://mirror.example"}, "http"),
        ({"pypi_index": "https://mirror.example/" + "x" * 5000}, "pypi_index"),
        ({"engine": "pixi", "conda_mirror": "nowhere"}, "conda_mirror"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_of_it_is_written(
    stage: Stage, body: dict[str, Any], said: str
) -> None:
    stage.open(BuildMode.OFF, prepare=False)
    answer = stage.request("POST", "/comfy-env/settings", body)
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_request")
    error = answer.json["error"]
    assert said in error["message"] and error["remedy"] and "hunter2" not in answer.text
    assert not stage.store.settings_path.exists()


def test_what_the_environment_sets_is_shown_so_and_cannot_be_changed(make_stage: MakeStage) -> None:
    stage = make_stage(
        environ={**UNSET, "COMFY_ENV_ENGINE": "embedded", "PIP_INDEX_URL": "https://me:pw@i.example/simple"}
    )
    stage.open(BuildMode.OFF, prepare=False)
    shown = by_name(stage.get("/settings"))
    assert (shown["engine"]["value"], shown["engine"]["source"]) == ("embedded", "environment")
    assert shown["engine"]["variable"] == "COMFY_ENV_ENGINE"
    assert shown["pypi_index"]["value"] == "https://***@i.example/simple"
    answer = stage.request("POST", "/comfy-env/settings", {"max_workers": 1, "engine": "pixi"})
    assert (answer.status, answer.json["error"]["code"]) == (409, "not_possible")
    assert "COMFY_ENV_ENGINE" in answer.json["error"]["message"]
    assert not stage.store.settings_path.exists()


def test_a_disk_that_refuses_is_told(stage: Stage) -> None:
    stage.open(BuildMode.OFF, prepare=False)
    stage.store.settings_path.mkdir(parents=True)
    answer = stage.request("POST", "/comfy-env/settings", {"engine": "pixi"})
    assert (answer.status, answer.json["error"]["code"]) == (507, "disk")
    assert "cannot be read" in stage.get("/settings")["file_problem"]


def test_a_change_is_written_answered_and_told_to_pages(stage: Stage) -> None:
    stage.open(BuildMode.OFF, prepare=False)
    before = stage.get("/settings")
    check(before, inline_schema(SettingsJson))
    assert {one["source"] for one in before["settings"]} == {"default"}
    answer = stage.post("/settings", {"pypi_index": "https://mirror.example/simple", "idle_timeout_s": 60})
    shown = by_name(answer)
    assert (shown["pypi_index"]["value"], shown["pypi_index"]["source"]) == (
        "https://mirror.example/simple",
        "settings",
    )
    assert answer["settings"] == stage.get("/settings")["settings"]
    assert json.loads(stage.store.settings_path.read_text()) == {
        "pypi_index": "https://mirror.example/simple",
        "idle_timeout_s": 60,
    }
    assert stage.wait_for_event("comfy-env.changes", lambda data: data["settings"])
    back = by_name(stage.post("/settings", {"pypi_index": None}))["pypi_index"]
    assert (back["value"], back["source"]) == (None, "default")


def test_the_limits_of_workers_count_at_once(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    stage.run_node("mesh")
    assert stage.manager.workers.running("mesh") is not None
    stage.post("/settings", {"idle_timeout_s": 0.001})
    assert eventually(lambda: stage.manager.workers.running("mesh") is None)


def test_the_body_declares_what_the_table_does() -> None:
    """Two lists of the same: one for people and checks of requests, one for everything else."""
    schema = inline_schema(SettingsChange)
    assert set(schema["properties"]) == set(BY_NAME) and not schema["required"]
    for name, hint in typing.get_type_hints(SettingsChange, include_extras=True).items():
        setting, one = BY_NAME[name], inline_schema(typing.get_args(hint)[0])
        if setting.kind == "choice":
            assert tuple(one["enum"]) == setting.choices
        elif setting.kind == "url":
            assert one["type"] == "string" and one["maxLength"]
        else:
            assert (one["minimum"], one["maximum"]) == (setting.least, setting.most)
