"""The generated pixi.toml: valid for pixi, and every line of ours says why it is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from building.test_building_plan import GPU, LINUX, MAC, USES_COMFYUI, USES_TORCH, plan

from comfy_env_core.building.platform import Platform
from comfy_env_core.building.user_settings import UserSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHARED = Path(__file__).resolve().parents[3] / "shared"
WINDOWS = Platform("win-64")

SAMPLES = {
    "empty": "",
    "pinned": 'python = "3.10"\n[pypi-dependencies]\ntrimesh = { version = "*", extras = ["easy"] }',
    "range": 'python = ">=3.10,<3.12"',
    "conda": """
        [workspace]
        channels = ["conda-forge", "mine"]
        [dependencies]
        bpy = { version = "*", channel = "mine" }
    """,
    "cuda": '[cuda]\npackages = ["flash-attn"]\n[env_vars]\nA = "1"\nEMPTY = ""',
    "targets": '[target.linux-64.dependencies]\nc-compiler = "*"\n[target.win.pypi-dependencies]\nx = ">=1"',
    "passthrough": """
        exclude-newer = "2025-01-01"
        [system-requirements]
        libc = { family = "glibc", version = "2.17" }
        cuda = "12"
        [activation]
        scripts = ["x.sh"]
        env = { B = "2" }
        [constraints]
        openssl = "<4"
        [tool.mine]
        "odd key" = [1, 2.5, true]
        [pypi-options]
        no-build = ["x"]
        [tasks]
        go = "python -V"
    """,
    "unknown": "[something]\nelse = 1",
}


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft7Validator:
    path = SHARED / "pixi" / "schema.json"
    if not path.exists():
        pytest.skip(f"SKIPPED LOUDLY: pixi's schema is not at {path}; manifests are not validated")
    return jsonschema.Draft7Validator(json.loads(path.read_text()))


def parsed(text: str, *, rich: bool = True, **rest: Any) -> dict[str, Any]:  # Any: a TOML document
    return tomllib.loads(plan(text, **rest).manifest(rich_platforms=rich))


def complaints(schema: jsonschema.Draft7Validator, text: str) -> list[str]:
    return [error.message[:300] for error in schema.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("platform", [LINUX, MAC, WINDOWS], ids=lambda platform: platform.name)
@pytest.mark.parametrize("sample", SAMPLES)
def test_the_manifest_satisfies_pixis_schema(
    schema: jsonschema.Draft7Validator, sample: str, platform: Platform, rich: bool
) -> None:
    settings = UserSettings(
        index_url="https://m/simple", find_links=("/w", "https://m/links"), index_strategy="unsafe-best-match"
    )
    for use in (USES_TORCH, USES_COMFYUI):
        for cuda in (None, GPU):
            made = plan(SAMPLES[sample], platform=platform, use=use, cuda=cuda, settings=settings)
            assert complaints(schema, made.manifest(rich_platforms=rich)) == []


@pytest.mark.parametrize("rich", [True, False])
def test_every_line_that_we_added_says_why(rich: bool) -> None:
    made = plan('[cuda]\npackages = ["gsplat"]', use=USES_COMFYUI, cuda=GPU)
    text = made.manifest(rich_platforms=rich, own_names=True)
    lines = text[text.index("[workspace]") :].splitlines()
    assert lines
    for line in lines:
        assert "  # " in line or line.startswith("[") or not line, line


def test_lines_of_the_file_carry_no_comment_of_ours() -> None:
    text = plan('python = "3.10"\n[pypi-dependencies]\ntrimesh = ">=4"').manifest()
    assert 'trimesh = ">=4"\n' in text
    assert 'python = "3.10.*"\n' in text


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("3.10", "3.10.*"),
        ("==3.10.13", "==3.10.13"),
        (">=3.10,<3.12", ">=3.10,<3.12"),
        ("3.11.*,!=3.11.4", "3.11.*,!=3.11.4"),
    ],
)
def test_python_is_written_in_the_words_of_conda(asked: str, written: str) -> None:
    assert parsed(f'python = "{asked}"')["dependencies"]["python"] == written


def test_guarantees_stand_beside_the_platform_for_new_pixi_and_in_their_own_table_for_old() -> None:
    text = '[pypi-dependencies]\ntorch = "*"'
    rich = parsed(text, cuda=GPU)
    assert rich["workspace"]["platforms"] == [{"platform": "linux-64", "glibc": "2.36", "cuda": "12.8"}]
    assert "system-requirements" not in rich
    old = parsed(text, rich=False, cuda=GPU)
    assert old["workspace"]["platforms"] == ["linux-64"]
    assert old["system-requirements"] == {"libc": "2.36", "cuda": "12.8"}


def test_system_requirements_of_the_file_stand() -> None:
    made = parsed(SAMPLES["passthrough"])
    assert made["workspace"]["platforms"] == [{"platform": "linux-64", "glibc": "2.17", "cuda": "12"}]


def test_what_a_machine_of_another_system_guarantees_stays_out() -> None:
    text = '[system-requirements]\nlibc = "2.31"\nmacos = "14.0"\ncuda = "12"'
    assert parsed(text, platform=MAC)["workspace"]["platforms"] == [
        {"platform": "osx-arm64", "macos": "14.0"}
    ]
    assert parsed(text, platform=WINDOWS)["workspace"]["platforms"] == [{"platform": "win-64", "cuda": "12"}]


def test_what_the_file_says_of_this_platform_stands() -> None:
    text = '[workspace]\nplatforms = ["win-64", { platform = "linux-64", cuda = { driver = "12.4" } }]'
    assert parsed(text)["workspace"]["platforms"][0]["cuda"] == {"driver": "12.4"}
    assert parsed(text, rich=False)["system-requirements"]["cuda"] == "12.4"


def test_paths_of_the_file_are_absolute_in_the_manifest_and_make_an_environment_of_their_own() -> None:
    text = """
        [pypi-dependencies]
        lib = { path = "../lib", editable = true }
        [pypi-options]
        find-links = [{ path = "wheels" }, { url = "https://h/links" }]
        [activation]
        scripts = ["setup.sh"]
    """
    made = parsed(text)
    assert made["pypi-dependencies"]["lib"] == {"path": "/packs/lib", "editable": True}
    assert made["pypi-options"]["find-links"] == [{"path": "/packs/mesh/wheels"}, {"url": "https://h/links"}]
    assert made["activation"]["scripts"] == ["/packs/mesh/setup.sh"]
    assert "directory=/packs/mesh" in plan(text).facts
    assert "directory=/packs/mesh" not in plan('[pypi-dependencies]\nlib = { path = "/lib" }').facts


def test_what_is_for_builds_is_in_the_environment_as_pixi_has_it() -> None:
    made = plan('[host-dependencies]\neigen = "3.4.*"\nav = "1.*"\n[dependencies]\nav = "*"')
    assert made.conda == {"eigen": "3.4.*", "av": "*"}


def test_notes_say_what_a_manifest_for_one_machine_leaves_out() -> None:
    text = '[workspace]\nname = "theirs"\nplatforms = ["win-64"]\n[target.win-64.dependencies]\na = "*"'
    notes = "\n".join(plan(text).notes)
    assert "[target.win-64]" in notes
    assert "'theirs'" in notes
    assert "names win-64; this environment is for linux-64" in notes


def test_warnings_of_the_file_are_notes_of_the_plan() -> None:
    notes = plan('[env]\nname = "x"\npython = "3.11"').notes
    assert any(note.startswith("In the file, line 2, key 'env.name'") for note in notes)


def test_the_rest_of_the_file_reaches_pixi_and_unknown_keys_do_not() -> None:
    made = parsed(SAMPLES["passthrough"])
    assert made["workspace"]["exclude-newer"] == "2025-01-01"
    assert made["constraints"] == {"openssl": "<4"}
    assert made["tool"] == {"mine": {"odd key": [1, 2.5, True]}}
    assert made["activation"] == {"scripts": ["/packs/mesh/x.sh"], "env": {"B": "2"}}
    assert made["pypi-options"] == {"no-build": ["x"]}
    assert "something" not in parsed(SAMPLES["unknown"])


def test_env_vars_become_activation_and_empty_ones_stay_with_the_worker() -> None:
    made = plan(SAMPLES["cuda"])
    assert tomllib.loads(made.manifest())["activation"]["env"] == {"A": "1"}
    assert made.env_vars == {"A": "1", "EMPTY": ""}


def test_what_is_not_ours_to_take_over_from_a_workspace_stays_ours() -> None:
    text = (
        '[workspace]\nname = "theirs"\nplatforms = ["win-64"]\nchannels = ["c"]\nchannel-priority = "strict"'
    )
    workspace = parsed(text)["workspace"]
    assert workspace["name"].startswith("env-")
    assert workspace["platforms"][0]["platform"] == "linux-64"
    assert workspace["channel-priority"] == "strict"
