"""`move-store` on the command line, and what every way in says when the disk is gone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from comfy_env_core import doorway
from comfy_env_core.cli import program
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.store import Store

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the stand-in for an environment is a POSIX prefix"
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "ce"))
    store = Store(tmp_path / "ce")
    environment = store.environment("0000000a")
    workspace = environment.begin_generation()
    workspace.python.parent.mkdir(parents=True)
    workspace.python.symlink_to(sys.executable)
    workspace.done_path.touch()
    environment.switch_to(workspace)
    return store


def move(tmp_path: Path, destination: Path, *arguments: str) -> int:
    return program.main(["move-store", "--custom-nodes", str(tmp_path), *arguments, str(destination)])


def test_a_move_that_is_refused_says_why_and_changes_nothing(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lock = build_lock(store, "0000000a")
    assert lock.try_acquire()
    assert move(tmp_path, tmp_path / "disk" / "ce") == 1
    lock.release()
    assert "is being built" in caplog.text
    assert not (tmp_path / "disk").exists()


def test_a_disk_that_refuses_is_named_with_what_to_do(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    assert move(tmp_path, tmp_path / "file" / "ce") == 1
    assert "Run the same command again" in caplog.text
    assert store.environment("0000000a").is_done()


def test_the_store_lies_there_afterwards_and_the_old_path_leads_to_it(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    destination = tmp_path / "disk" / "ce"
    assert move(tmp_path, destination) == 0
    assert f"{store.root} leads there" in capsys.readouterr().out
    assert move(tmp_path, destination, "--json") == 0, "a second time there is nothing to do"
    assert json.loads(capsys.readouterr().out) == {
        "store": str(store.root),
        "lies_at": str(destination),
        "built_anew": [],
    }
    assert store.environment("0000000a").is_done()


def test_without_its_disk_every_way_in_says_so_and_makes_no_second_store(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = tmp_path / "disk" / "ce"
    assert move(tmp_path, destination) == 0
    os.rename(destination.parent, tmp_path / "disconnected")
    assert doorway.command_line(["status"]) == 1
    assert doorway.install([]) == 1
    assert caplog.text.count("connect that disk and start again") == 2
    assert not destination.parent.exists()
