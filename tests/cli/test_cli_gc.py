"""`gc` on the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.cli import program
from comfy_env_core.environments import installs
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.store import Environment, Store

MB = 1024 * 1024


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    directory = tmp_path / "custom_nodes"
    directory.mkdir()
    return directory


@pytest.fixture
def store(tmp_path: Path, custom_nodes: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """With one environment that is used, and one that is not; they share a file of a megabyte with the cache."""
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "store"))
    store = Store(tmp_path / "store")
    cached = store.cache_dir / "uv" / "torch"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"x" * MB)
    for id_ in ("0000000a", "0000000b"):
        environment = store.environment(id_)
        workspace = environment.begin_generation()
        workspace.prefix.mkdir(parents=True)
        os.link(cached, workspace.prefix / "torch")
        (workspace.prefix / "own").write_bytes(b"y" * MB)
        workspace.done_path.touch()
        environment.switch_to(workspace)
    installs.record(store, [custom_nodes], ["0000000a"])
    return store


@pytest.fixture
def unused(store: Store) -> Environment:
    return store.environment("0000000b")


def gc(custom_nodes: Path, *arguments: str) -> int:
    return program.main(["gc", "--custom-nodes", str(custom_nodes), *arguments])


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_what_cannot_be_removed_is_told_and_fails(
    custom_nodes: Path, store: Store, unused: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = build_lock(store, unused.id)
    assert lock.try_acquire()
    lock._holder_path.unlink()  # a builder that died between the two steps of taking it
    assert gc(custom_nodes, "--unused-for", "0") == 1
    shown = capsys.readouterr().out
    lock.release()
    assert "Could not be removed:" in shown
    assert "is being built and was not removed" in shown
    assert unused.is_done()


@pytest.mark.parametrize("days", ["-1", "x", "nan", "inf"])
def test_a_number_of_days_that_is_none_is_refused(
    custom_nodes: Path, store: Store, days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        gc(custom_nodes, f"--unused-for={days}")
    assert ended.value.code == 2
    assert "--unused-for" in capsys.readouterr().err


def test_a_dry_run_says_what_would_go_and_what_it_gives_back_and_removes_nothing(
    custom_nodes: Path, unused: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gc(custom_nodes, "--dry-run", "--unused-for", "0", "--json") == 0
    answer = as_json(capsys)
    (item,) = answer["items"]
    assert (item["name"], item["kind"], item["removed"]) == ("0000000b", "environment", False)
    assert item["shared_bytes"] == MB
    assert MB <= item["unique_bytes"] < 2 * MB
    assert answer["freed_bytes"] == item["unique_bytes"]
    assert 3 * MB <= answer["store_bytes"] < 4 * MB
    assert answer["kept"] == [{"name": "0000000a", "reason": f"used by the ComfyUI of {custom_nodes}"}]
    assert unused.is_done()


def test_without_dry_run_it_goes_and_the_answer_says_so(
    custom_nodes: Path, unused: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gc(custom_nodes, "--unused-for", "0") == 0
    shown = capsys.readouterr().out
    assert "Removed:" in shown
    assert "no ComfyUI of this machine uses it" in shown
    assert "came back" in shown
    assert not unused.directory.exists()


def test_what_is_recent_stays_by_default(
    custom_nodes: Path, unused: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gc(custom_nodes, "--json") == 0
    assert as_json(capsys)["items"] == []
    assert unused.is_done()
