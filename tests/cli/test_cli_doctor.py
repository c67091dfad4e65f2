"""`doctor`: what is in the way of builds is found and ends in a failing exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from building.engines.samples import LoopbackIndex, serving, wheel_bytes

from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.cli import exit_codes, program
from comfy_env_core.doctor.finding import Level
from comfy_env_core.doctor.storage import check_store
from comfy_env_core.doctor.surroundings import Surroundings
from comfy_env_core.environments.store import Store

_USERS_OWN = ("PIP_", "UV_", "PIXI_")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without settings, whose index is the one that a test names, and whom no other server answers."""
    for name in [name for name in os.environ if name.startswith(_USERS_OWN)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("COMFY_ENV_ENGINE", "embedded")
    monkeypatch.setenv("COMFY_ENV_TORCH_WHEELS", "http://127.0.0.1:9/torch")
    (tmp_path / "custom_nodes").mkdir()
    return tmp_path


def doctor(machine: Path, *arguments: str) -> int:
    return program.main(["doctor", "--custom-nodes", str(machine / "custom_nodes"), *arguments])


def levels(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert all(finding["remedy"] for finding in findings if finding["level"] != "ok")
    return {finding["subject"]: finding["level"] for finding in findings}


def test_an_index_that_is_away_and_a_file_that_is_wrong_fail(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    (machine / "custom_nodes" / "bad").mkdir()
    (machine / "custom_nodes" / "bad" / "comfy-env.toml").write_text("python = 3.10\n")
    assert doctor(machine, "--json") == exit_codes.FAILED
    found = levels(capsys)
    assert (found["index"], found["files"], found["torch"]) == ("fail", "fail", "warn")
    assert {"ok"} == {found[subject] for subject in ("store", "hard links", "engine", "leftovers")}


def test_a_store_that_cannot_be_written_fails(machine: Path) -> None:
    """A file stands in its place: root may write everywhere."""
    (machine / "store").write_text("")
    (finding,) = check_store(Surroundings(Store(machine / "store"), UserSettings()))
    assert finding.level is Level.FAIL and "COMFY_ENV_ROOT" in finding.remedy


def test_a_package_is_found_for_other_systems_and_that_is_said(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("tiny-1.0-cp39-cp39-win_amd64.whl", "tiny-1.1-cp39-cp39-win_amd64.whl")
    with serving(LoopbackIndex({name: wheel_bytes("tiny", "1", {}) for name in names})) as index:
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        assert doctor(machine, "--package", "tiny") == exit_codes.FAILED
        text = capsys.readouterr().out
        assert doctor(machine, "--package", "tinny") == exit_codes.FAILED
    assert "2 versions of tiny, the newest 1.1" in text and "Windows" in text
    assert "none of your indexes has it" in capsys.readouterr().out


def test_a_package_that_runs_here_is_fine(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(LoopbackIndex({"tiny-1.0-py3-none-any.whl": wheel_bytes("tiny", "1.0", {})})) as index:
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        assert doctor(machine, "--package", "tiny", "--json") == exit_codes.FINE
    assert set(levels(capsys).values()) == {"ok"}
