"""`scan`, `status` and `info` on what nothing was built for: what is wrong is told with its line, shapes are stable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.lock_file import lock_text
from comfy_env_core.building.locks.model import Lock, LockedEnvironment
from comfy_env_core.building.platform import Platform
from comfy_env_core.cli import exit_codes, program


@pytest.fixture
def custom_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "store"))
    for name, file, text in (
        ("good", "comfy-env.toml", '[pypi-dependencies]\nnumpy = "*"\n'),
        ("bad", "comfy-env.toml", "\n\npython = 3.10\n"),
        ("meant", "comfyui-env.toml", ""),
        ("plain", "__init__.py", ""),
    ):
        path = tmp_path / "custom_nodes" / name / file
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path / "custom_nodes"


def told(capsys: pytest.CaptureFixture[str], custom_nodes: Path, *arguments: str) -> tuple[int, str]:
    code = program.main([*arguments, "--custom-nodes", str(custom_nodes)])
    return code, capsys.readouterr().out


def test_scan_fails_for_a_file_that_is_wrong_and_names_the_line(
    custom_nodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(capsys, custom_nodes, "scan")
    assert code == exit_codes.FAILED
    assert "line 3" in text and "comfyui-env.toml" in text and "2 isolated" in text
    code, text = told(capsys, custom_nodes, "scan", "--json")
    found = json.loads(text)
    bad, good = found["sites"]
    assert (code, bad["problem"]["line"], good["problem"]) == (exit_codes.FAILED, 3, None)
    assert set(found) == {"custom_nodes", "packs", "sites", "root_files", "skipped", "mistakes"}
    assert [pack["name"] for pack in found["packs"]] == ["bad", "good", "meant", "plain"]


def test_status_tells_what_is_not_built_from_what_cannot_be(
    custom_nodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(capsys, custom_nodes, "status", "--json")
    bad, good = json.loads(text)["sites"]
    assert (code, bad["state"], bad["environment_id"], good["state"]) == (0, "failed", None, "unbuilt")
    assert good.keys() == {
        *("id", "pack", "state", "environment_id", "serving", "failure", "last_build", "build", "nodes"),
        *("log_path", "lock_note"),
    }
    assert bad["failure"].keys() == {"cause", "message", "remedy", "log_path"}


def test_a_lock_that_does_not_fit_is_told_and_not_ignored(
    custom_nodes: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = custom_nodes / "good" / LOCK_NAME
    path.write_text("damaged")
    _, text = told(capsys, custom_nodes, "status", "good")
    assert "failed" in text and LOCK_NAME in text
    environment = LockedEnvironment(Platform.current().name, "3.11", {}, (), (), (), ())
    path.write_text(lock_text(Lock(path, "0" * 64, (environment,))))
    _, text = told(capsys, custom_nodes, "status", "good", "--json")
    assert "has changed since it was made" in json.loads(text)["sites"][0]["lock_note"]
    assert LOCK_NAME not in caplog.text  # told once


def test_info_tells_of_an_environment_before_it_is_built(
    custom_nodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(capsys, custom_nodes, "info", "good", "--json")
    info: dict[str, Any] = json.loads(text)
    assert (code, info["python"], info["record"]) == (0, None, None)
    assert "pypi-dependencies.msgpack" in info["added"]
    assert [use["site"] for use in info["used_by"]] == ["good"]
    assert info.keys() == {
        *(
            "environment_id",
            "directory",
            "log_path",
            "python",
            "generation",
            "previous_generation",
            "used_by",
        ),
        *("record", "facts", "notes", "added", "skipped", "build", "last_build", "size"),
    }


def test_looking_writes_nothing(
    custom_nodes: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    for command in (["scan"], ["status"], ["info", "good"]):
        told(capsys, custom_nodes, *command)
    assert sorted(tmp_path.rglob("*")) == before
