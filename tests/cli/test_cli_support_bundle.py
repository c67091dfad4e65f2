"""`support-bundle` on the command line."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the routes that gather the parts need it")

from comfy_env_core.cli import exit_codes, program


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "PIXI_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "COMFY_ENV_ENGINE": "embedded",
        "COMFY_ENV_TORCH_WHEELS": "http://127.0.0.1:9/torch",
        "COMFY_ENV_CONDA_MIRROR": "http://127.0.0.1:9/conda-forge",
        "COMFY_ENV_ROOT": str(tmp_path / "store"),
        "USER": "zqwendel",
    }.items():
        monkeypatch.setenv(name, value)
    pack = tmp_path / "custom_nodes" / "mesh"
    pack.mkdir(parents=True)
    (pack / "comfy-env.toml").write_text("python = 3.10  # by zqwendel\n")
    (pack / "__init__.py").write_text("")
    return tmp_path


def support_bundle(machine: Path, file: Path) -> int:
    return program.main(["support-bundle", "--custom-nodes", str(machine / "custom_nodes"), str(file)])


def test_a_place_that_refuses_is_named(machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert support_bundle(machine, machine) == exit_codes.FAILED
    assert "is a directory" in caplog.text
    assert support_bundle(machine, machine / "nowhere" / "x.zip") == exit_codes.FAILED
    assert "cannot be written" in caplog.text


def test_the_bundle_says_what_is_wrong_and_not_whose_it_is(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = machine / "x.zip"
    assert support_bundle(machine, file) == exit_codes.FINE
    assert str(file) in capsys.readouterr().out
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "1 failed" in files["summary.txt"]
    assert json.loads(files["status.json"])["sites"][0]["failure"]["cause"] == "config"
    assert not [name for name, text in files.items() if "zqwendel" in text or str(machine) in text]
