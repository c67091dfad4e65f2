"""`generate`, as a terminal runs it: the manifest on stdout, what is odd on stderr."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.building.accelerators import VARIABLE
from comfy_env_core.cli.program import main

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = """
python = "3.10"
[dependencies]
cgal = "*"
[cuda]
packages = ["flash-attn"]
[pypi-dependencies]
lib = { path = "../lib" }
[target.win-64.pypi-dependencies]
triton-windows = "*"
"""


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of whoever runs the tests, and no pixi of theirs."""
    for name in (
        "PIP_CONFIG_FILE",
        "PIP_FIND_LINKS",
        "PIP_EXTRA_INDEX_URL",
        "PIP_INDEX_URL",
        "COMFY_ENV_PIXI",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv(VARIABLE, "none")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "custom_nodes" / "mesh" / "nodes" / "comfy-env.toml"
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    path.with_name("nodes.py").write_text("import torch\n")
    return path


def generated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["generate", *arguments]) == 0
    return tomllib.loads(capsys.readouterr().out)


def test_another_platform_gets_its_own_packages_and_no_gpu(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = generated(capsys, str(file), "--platform", "win-64")
    assert made["workspace"]["platforms"] == ["win-64"]
    assert made["pypi-dependencies"]["triton-windows"] == "*"
    assert "flash-attn" not in made["pypi-dependencies"]
    assert made["pypi-dependencies"]["lib"]["path"] == (file.parent.parent / "lib").as_posix()


def test_a_gpu_that_is_not_here_is_planned_for(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = generated(capsys, str(file.parent), "--platform", "linux-64", "--cuda", "cu128")
    assert made["workspace"]["platforms"][0]["cuda"] == "12.8"
    assert made["pypi-dependencies"]["torch"]["index"].endswith("/cu128")
    assert "/cu128/torch" in made["pypi-dependencies"]["flash-attn"]["index"]


def test_macos_is_told_with_the_version_that_pixi_assumes(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = generated(capsys, str(file), "--platform", "osx-arm64")
    assert made["workspace"]["platforms"] == [{"platform": "osx-arm64", "macos": "13.0"}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--platform", "osx-arm64", "--cuda", "cu128"], "Apple's GPUs only"),
        (["--platform", "beos"], "'beos' is not a platform"),
        (["--cuda", "banana"], "'banana', which is no CUDA version"),
    ],
)
def test_a_machine_that_cannot_be_is_refused_with_what_there_is(
    file: Path, caplog: pytest.LogCaptureFixture, arguments: list[str], said: str
) -> None:
    assert main(["generate", str(file), *arguments]) == 1
    assert said in caplog.text


def test_a_wrong_file_ends_in_one_message_with_its_line(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text("\npython = 3.10\n")
    assert main(["generate", str(file)]) == 1
    assert "line 2" in caplog.text
    assert 'Write python = "3.10"' in caplog.text


def test_a_file_that_is_not_there_and_a_root_file_are_named(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["generate", str(file.with_name("gone.toml"))]) == 3
    root = file.with_name("comfy-env-root.toml")
    root.write_text('[cuda]\npackages = ["flash-attn"]\n')
    assert main(["generate", str(root)]) == 1
    assert "line 1: the file describes no environment" in caplog.text
    assert "flash-attn" in caplog.text


def test_warnings_go_to_stderr_and_not_into_the_manifest(
    file: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text('[mesh]\npython = "3.11"\n[mesh.packages]\nrequirements = ["trimesh>=4"]\n')
    with caplog.at_level(logging.WARNING):
        made = generated(capsys, str(file))
    assert made["pypi-dependencies"]["trimesh"] == ">=4"
    assert "[mesh] is a named environment" in caplog.text


def test_a_file_of_another_name_says_nothing_of_the_code_around_it(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = file.rename(file.with_name("draft.toml"))
    other.write_text('python = "3.11"\n')
    assert "torch" not in generated(capsys, str(other))["pypi-dependencies"]


def test_pixi_behind_mirrors_is_told_to_ask_no_other_host_for_names(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "pixi.toml"
    config.write_text('[mirrors]\n"https://conda.anaconda.org" = ["https://mirror.example"]\n')
    monkeypatch.setenv("PIXI_CONFIG_FILE", str(config))
    made = generated(capsys, str(file), "--engine", "pixi")
    assert made["workspace"]["conda-pypi-map"] == {"conda-forge": {"mapping-mode": "replace"}}
    assert "conda-pypi-map" not in generated(capsys, str(file))["workspace"]
