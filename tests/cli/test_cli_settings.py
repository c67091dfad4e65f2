"""`settings` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfy_env_core.cli import exit_codes, program
from comfy_env_core.environments.store import Store
from comfy_env_core.settings.table import SETTINGS


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "store"))
    for setting in SETTINGS:
        for name in (setting.variable, *setting.others):
            monkeypatch.delenv(name, raising=False)
    return Store(tmp_path / "store")


def settings(*arguments: str) -> int:
    return program.main(["settings", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("max_worker",), exit_codes.USAGE, "max_workers"),
        (("max_workers", "many"), exit_codes.USAGE, "whole number from 0 to 1000"),
        (("max_workers", "inf"), exit_codes.USAGE, "whole number from 0 to 1000"),
        (("idle_timeout_s", "nan"), exit_codes.USAGE, "number of seconds from 0"),
        (("engine", "conda"), exit_codes.USAGE, "auto, pixi, embedded"),
        (("torch_mirror", "https://me:hunter2@m.example"), exit_codes.USAGE, ".netrc"),
    ],
)
def test_what_is_wrong_is_a_wrong_usage_and_changes_nothing(
    store: Store, caplog: pytest.LogCaptureFixture, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert settings(*arguments) == code
    assert said in caplog.text and "hunter2" not in caplog.text
    assert not store.settings_path.exists()


def test_a_variable_of_the_environment_is_named(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFY_ENV_MAX_WORKERS", "4")
    assert settings("max_workers", "2") == exit_codes.USAGE
    assert "COMFY_ENV_MAX_WORKERS" in caplog.text


def test_a_store_that_refuses_fails(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.settings_path.mkdir(parents=True)
    assert settings("max_workers", "2") == exit_codes.FAILED
    assert "cannot be read" in caplog.text


def test_a_value_is_set_shown_and_taken_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert settings("idle_timeout_s", "90") == exit_codes.FINE
    assert json.loads(store.settings_path.read_text()) == {"idle_timeout_s": 90}
    capsys.readouterr()
    assert settings("--json") == exit_codes.FINE
    shown = {one["name"]: one for one in json.loads(capsys.readouterr().out)["settings"]}
    assert list(shown) == [setting.name for setting in SETTINGS]
    assert (shown["idle_timeout_s"]["value"], shown["idle_timeout_s"]["source"]) == (90, "settings")
    assert settings("idle_timeout_s", "default") == exit_codes.FINE
    assert "14400" in capsys.readouterr().out
    assert json.loads(store.settings_path.read_text()) == {}


def test_a_broken_file_is_told_beside_the_defaults(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.root.mkdir()
    store.settings_path.write_text("{")
    assert settings() == exit_codes.FINE
    out = capsys.readouterr().out
    assert str(store.settings_path) in out and "background" in out
