"""`lock` from the command line: written beside the file, the same again, and counted out when the file changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from building.engines.samples import LoopbackIndex, index_of_needs, serving

from comfy_env_core.building.engines.engine_packages import ensure_engine_packages
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With rattler and uv in it; skips where no package index answers."""
    store = Store(tmp_path / "store")
    try:
        ensure_engine_packages(store, UserSettings.gather(os.environ, Path.home()), QuietReport())
    except BuildError as error:
        pytest.skip(f"the embedded engine's packages cannot be had here: {error}")
    return store


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serving(index_of_needs(needy="helper", helper="")) as index:
        yield index


def call(tmp_path: Path, store: Store, index: LoopbackIndex, *arguments: str) -> tuple[int, Any, str]:
    """(exit code, what `--json` says, stderr) of a user without any channel."""
    home = tmp_path / "home"
    (home / ".pixi").mkdir(parents=True, exist_ok=True)
    (home / ".pixi/config.toml").write_text(
        '[mirrors]\n"https://conda.anaconda.org" = ["http://127.0.0.1:9"]\n'
    )
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "TMPDIR")}
    environ = {
        **kept,
        "HOME": str(home),
        "PIP_INDEX_URL": f"{index.url}/simple",
        "PIP_CONFIG_FILE": os.devnull,
    }
    argv = [sys.executable, "-m", "comfy_env_core", "lock", *arguments, "--json"]
    completed = subprocess.run(
        argv,
        env={**environ, "COMFY_ENV_ROOT": str(store.root), "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"},
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        text=True,
        check=False,
    )
    return completed.returncode, json.loads(completed.stdout or "null"), completed.stderr


def test_a_lock_is_written_for_several_platforms_and_what_fails_is_named(
    tmp_path: Path, store: Store, index: LoopbackIndex
) -> None:
    file = tmp_path / "pack/comfy-env.toml"
    file.parent.mkdir()
    file.write_text('python = "3.12"\n[pypi-dependencies]\nneedy = "*"\n')
    code, told, stderr = call(
        tmp_path, store, index, str(file), "--platform", "linux-64", "--platform", "win-64"
    )
    assert code == 0, stderr
    (lock,) = told["locks"]
    assert [(one["platform"], one["python"], one["pypi"]) for one in lock["environments"]] == [
        ("linux-64", "3.12", 3),
        ("win-64", "3.12", 3),
    ]
    path = file.with_name("comfy-env.lock")
    written = path.read_bytes()
    assert index.url.encode() not in written
    code, _, stderr = call(tmp_path, store, index, str(file), "--platform", "win-64")
    assert code == 0, stderr
    assert path.read_bytes() == written, "the other platform stays, and nothing else changes"

    assert call(tmp_path, store, index, str(file), "--check")[0] == 0

    file.write_text('python = "3.12"\n[pypi-dependencies]\nneedy = "*"\n[dependencies]\ncmake = "*"\n')
    code, told, _ = call(tmp_path, store, index, str(file), "--platform", "win-64")
    assert code == 1
    assert "cmake" in told["locks"][0]["failures"]["win-64"]
    assert told["locks"][0]["environments"] == []
    assert path.read_bytes() == written
    code, told, _ = call(tmp_path, store, index, str(file), "--check")
    assert code == 1
    assert "has changed" in told["locks"][0]["failures"]["linux-64"]
