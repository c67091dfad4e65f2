"""Packs, what their files say, and what is wrong with them at its line."""

from __future__ import annotations

import pytest
from api.stage import Stage
from patience import PATIENCE_S

from comfy_env_core.api.packs import PackJson, PackList
from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.platform import PLATFORM_NAMES


def packs(stage: Stage) -> dict[str, PackJson]:
    answer: PackList = stage.get("/packs")
    check(answer, inline_schema(PackList))
    return {pack["name"]: pack for pack in answer["packs"]}


def pack(stage: Stage, name: str) -> PackJson:
    answer: PackJson = stage.get(f"/packs/{name}")
    check(answer, inline_schema(PackJson))
    return answer


@pytest.mark.parametrize(
    "path", ["/packs/none", "/packs/..%2f..%2fetc", "/packs/plain", "/sites/none/manifest"]
)
def test_what_is_not_there_is_refused_with_the_way_on(stage: Stage, path: str) -> None:
    stage.add_pack("mesh")
    (stage.custom_nodes / "plain").mkdir()
    stage.open(prepare=False)
    answer = stage.request("GET", f"/comfy-env{path}")
    assert answer.status == 404
    assert "restart" in answer.json["error"]["remedy"]


def test_a_mistake_is_told_with_its_line_key_and_remedy(stage: Stage) -> None:
    stage.add_pack(
        "mistaken", '# first\n[pypi-dependencies]\nnumpy = "*"\npython = 3\n[options]\nhost = "moon"\n'
    )
    stage.open(prepare=False)
    (file,) = packs(stage)["mistaken"]["files"]
    assert (file["path"], file["kind"]) == ("comfy-env.toml", "environment")
    assert file["text"].startswith("# first\n")
    (problem,) = file["problems"]
    assert (problem["level"], problem["line"], problem["key"]) == ("error", 6, "options.host")
    assert problem["remedy"]


def test_toml_that_is_none_is_told_with_its_line(stage: Stage) -> None:
    stage.add_pack("mistaken", '[pypi-dependencies]\nnumpy = "*\n')
    stage.open(prepare=False)
    (problem,) = packs(stage)["mistaken"]["files"][0]["problems"]
    assert (problem["level"], problem["line"]) == ("error", 2)


def test_a_file_is_read_anew_after_it_was_corrected_or_removed(stage: Stage) -> None:
    directory = stage.add_pack("mesh", "python = 3.10\n")
    stage.open(prepare=False)
    assert packs(stage)["mesh"]["files"][0]["problems"] != []
    (directory / "comfy-env.toml").write_text('python = "3.10"\n')
    assert packs(stage)["mesh"]["files"][0]["problems"] == []
    (directory / "comfy-env.toml").unlink()
    (problem,) = packs(stage)["mesh"]["files"][0]["problems"]
    assert "cannot be read" in problem["problem"]


def test_files_of_all_kinds_are_told_and_locks_in_full_for_one_pack(stage: Stage) -> None:
    stage.add_pack(
        "mesh",
        files={
            "comfy-env-root.toml": "[strange]\nx = 1\n",
            "nodes/fine/comfy-env.toml": "# nested\n",
            LOCK_NAME: "nonsense\n",
        },
    )
    stage.open(prepare=False)
    files = {file["path"]: file for file in packs(stage)["mesh"]["files"]}
    assert set(files) == {"comfy-env-root.toml", "comfy-env.toml", LOCK_NAME, "nodes/fine/comfy-env.toml"}
    assert [problem["level"] for problem in files["comfy-env-root.toml"]["problems"]] == ["warning"]
    assert files[LOCK_NAME] == {"path": LOCK_NAME, "kind": "lock", "text": "", "problems": []}
    in_full = {file["path"]: file for file in pack(stage, "mesh")["files"]}
    assert in_full[LOCK_NAME]["text"] == "nonsense\n"
    assert [(one["level"], one["line"]) for one in in_full[LOCK_NAME]["problems"]] == [("error", 1)]


def test_a_pack_tells_its_sites_and_how_many_nodes_they_have(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    told = packs(stage)["mesh"]
    assert (told["sites"], told["nodes"]) == (["mesh"], 1)
    assert told["path"] == str(stage.custom_nodes / "mesh")


def test_the_manifest_of_a_site_is_made_from_the_file_as_it_is_now(stage: Stage) -> None:
    directory = stage.add_pack("mesh")
    stage.open(prepare=False)
    (directory / "comfy-env.toml").write_text("[pypi-dependencies]\nnumpy = '*'\n")
    answer = stage.request("GET", "/comfy-env/sites/mesh/manifest")
    assert answer.status == 200
    assert "numpy" in answer.text
    assert stage.manager.sites["mesh"].environment is None, "looking changes nothing"


@pytest.mark.parametrize("platform", PLATFORM_NAMES)
def test_the_manifest_for_every_platform_can_be_asked_for(stage: Stage, platform: str) -> None:
    stage.add_pack("mesh")
    stage.open(prepare=False)
    answer = stage.request("GET", f"/comfy-env/sites/mesh/manifest?platform={platform}")
    assert (answer.status, platform in answer.text) == (200, True), answer.text


def test_a_platform_that_is_none_is_refused(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.open(prepare=False)
    answer = stage.request("GET", "/comfy-env/sites/mesh/manifest?platform=amiga-68k")
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_request")


def test_the_manifest_of_a_mistaken_file_is_refused_with_the_mistake(stage: Stage) -> None:
    stage.add_pack("mesh", "python = 3.10\n")
    stage.open(prepare=False)
    answer = stage.request("GET", "/comfy-env/sites/mesh/manifest")
    assert (answer.status, answer.json["error"]["code"]) == (409, "not_possible")
    assert "line 1" in answer.json["error"]["message"]


def test_a_site_inside_a_pack_is_asked_for_by_its_id(stage: Stage) -> None:
    stage.add_pack("mesh", files={"__init__.py": "", "nodes/fine/comfy-env.toml": "# nested\n"})
    (stage.custom_nodes / "mesh" / "comfy-env.toml").unlink()
    stage.open(prepare=False)
    assert stage.request("GET", "/comfy-env/sites/mesh%2Fnodes%2Ffine/manifest").status == 200
