"""A fetch of another pack is killed at any moment: ComfyUI never sees half a pack, and the next fetch ends well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from effort import Effort

_ROOT = Path(__file__).resolve().parents[2]
_FILES = 200


@pytest.fixture
def forge(tmp_path: Path) -> Path:
    """A repository of some megabytes, reached as https://github.com/owner/pack."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    repository = tmp_path / "forge/owner/pack"
    repository.mkdir(parents=True)
    for number in range(_FILES):
        (repository / f"file{number}").write_bytes(os.urandom(40_000))
    identity = ("-c", "user.name=dev", "-c", "user.email=dev")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "x")):
        subprocess.run(("git", "-C", str(repository), *identity, *arguments), check=True)
    return tmp_path / "forge"


def fetch(custom_nodes: Path, forge: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "comfy_env_core",
        "node-packs",
        "--install",
        "--custom-nodes",
        str(custom_nodes),
    ]
    variables = {**os.environ, "COMFY_ENV_GITHUB_MIRROR": forge.as_uri(), "PYTHONPATH": str(_ROOT)}
    return subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def seen_by_comfyui(custom_nodes: Path) -> set[str]:
    """What it would load: every directory whose name does not end in ".disabled"."""
    return {path.name for path in custom_nodes.iterdir() if not path.name.endswith(".disabled")}


def test_killed_fetch_never_shows_half_a_pack(forge: Path, tmp_path: Path, effort: Effort) -> None:
    custom_nodes = tmp_path / "custom_nodes"
    (custom_nodes / "asking").mkdir(parents=True)
    (custom_nodes / "asking/comfy-env-root.toml").write_text('[node_reqs]\nPack = "owner/pack"\n')
    began = time.monotonic()
    assert fetch(custom_nodes, forge).wait() == 0
    whole_s = time.monotonic() - began
    chance = effort.chance("killed fetch")
    for _ in range(effort.of(short=3, quick=10, full=30)):
        shutil.rmtree(custom_nodes / "Pack", ignore_errors=True)
        process = fetch(custom_nodes, forge)
        time.sleep(chance.uniform(0, whole_s * 1.1))
        process.kill()
        process.wait()
        seen = seen_by_comfyui(custom_nodes)
        assert seen <= {"asking", "Pack"}
        if "Pack" in seen:
            assert len(list((custom_nodes / "Pack").glob("file*"))) == _FILES
    assert fetch(custom_nodes, forge).wait() == 0
    assert {path.name for path in custom_nodes.iterdir()} == {"asking", "Pack"}
