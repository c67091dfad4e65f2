"""What packs ask for beside their environments, as the panel shows it."""

from __future__ import annotations

import shlex
import sys

import pytest
from api.conftest import MakeStage
from api.stage import Stage

from comfy_env_core.api.prerequisites import PrerequisitesJson
from comfy_env_core.api.schema import check, inline_schema


def prerequisites(stage: Stage) -> PrerequisitesJson:
    answer: PrerequisitesJson = stage.get("/prerequisites")
    check(answer, inline_schema(PrerequisitesJson))
    return answer


def test_packs_that_ask_for_nothing_are_left_out(stage: Stage) -> None:
    stage.add_pack("mesh")
    assert prerequisites(stage.open(prepare=False)) == {"packs": [], "unreadable": [], "commands": []}


def test_a_missing_pack_is_told_with_the_command_that_fetches_it(stage: Stage) -> None:
    directory = stage.add_pack(
        "mesh", files={"comfy-env-root.toml": '[node_reqs]\nComfyUI-Other = "someone/ComfyUI-Other"\n'}
    )
    told = prerequisites(stage.open(prepare=False))
    (needs,) = told["packs"]
    (need,) = needs["node_packs"]
    assert (needs["pack"], need["directory"], need["state"]) == ("mesh", "ComfyUI-Other", "missing")
    (command,) = told["commands"]
    assert (command["pack"], command["installs"]) == ("mesh", "node_packs")
    words = shlex.split(command["command"])
    assert words[0] == sys.executable
    assert words[2:] == ["node-packs", "mesh", "--install", "--custom-nodes", str(directory.parent)]
    (stage.custom_nodes / "ComfyUI-Other").mkdir()
    assert prerequisites(stage)["packs"][0]["node_packs"][0]["state"] == "present"
    assert prerequisites(stage)["commands"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="[apt] concerns Linux")
def test_a_missing_package_of_the_system_is_told(stage: Stage) -> None:
    stage.add_pack("mesh", files={"comfy-env-root.toml": '[apt]\npackages = ["libnone-of-this-name1"]\n'})
    told = prerequisites(stage.open(prepare=False))
    system = told["packs"][0]["system"]
    assert system is not None
    assert (system["section"], system["wanted"]) == ("apt", ["libnone-of-this-name1"])
    assert system["missing"] == ["libnone-of-this-name1"] or system["problem"]


def test_a_root_file_that_cannot_be_read_is_told(stage: Stage) -> None:
    stage.add_pack("mesh", files={"comfy-env-root.toml": "[apt\n"})
    (text,) = prerequisites(stage.open(prepare=False))["unreadable"]
    assert "line 1" in text


def test_an_address_that_is_none_is_refused(make_stage: MakeStage) -> None:
    stage = make_stage(environ={"COMFY_ENV_GITHUB_MIRROR": "not an address"})
    answer = stage.open().request("GET", "/comfy-env/prerequisites")
    assert (answer.status, answer.json["error"]["code"]) == (409, "not_possible")
