"""`python install.py` of a pack, as ComfyUI-Manager runs it: a process of its own, where nothing of ours is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakepack import write_pack

INSTALLERS = Path(__file__).resolve().parents[2] / "installers"
BROKEN = "[pypi-dependencies\n"


def run_installer(
    pack: Path, store: Path, *, python_path: str = str(INSTALLERS)
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMFY", "PYTHON"))}
    environment = {**kept, "COMFY_ENV_ROOT": str(store), "PYTHONPATH": python_path}
    return subprocess.run(
        [sys.executable, "install.py"],
        cwd=pack,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_pack_that_calls_is_built_by_our_builder_with_its_progress(tmp_path: Path) -> None:
    """Nothing is fetched for this test: the file of the pack is wrong, which the builder finds before all else."""
    files = {"install.py": "from comfy_env import install\ninstall()\n", "nodes/comfy-env.toml": BROKEN}
    pack = write_pack(tmp_path, files)
    write_pack(tmp_path, {"comfy-env.toml": BROKEN}, name="another-pack")
    done = run_installer(pack, tmp_path / "store")
    assert done.returncode == 1
    assert f"1 isolated in {pack.parent}" in done.stdout
    assert "0 ready, 1 failed" in done.stdout and "fake-pack/nodes" in done.stdout
    assert "another-pack" not in done.stdout
    assert "RuntimeError: Not everything that 'fake-pack' needs could be built" in done.stderr


def test_a_pack_without_isolated_directories_needs_nothing(tmp_path: Path) -> None:
    old = """
    from comfy_env import install, IsolatedEnvManager, discover_config
    install(mode="isolated")
    print("went on")
    """
    done = run_installer(write_pack(tmp_path, {"install.py": old}), tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "0 ready, 0 failed" in done.stdout and "went on" in done.stdout


def test_one_that_is_installed_does_not_come_first(tmp_path: Path) -> None:
    """A folder behind ours on PYTHONPATH stands for site-packages, which comes later still."""
    real = tmp_path / "site-packages" / "comfy_env" / "__init__.py"
    real.parent.mkdir(parents=True)
    real.write_text("raise RuntimeError('the real one was imported')\n")
    pack = write_pack(
        tmp_path, {"install.py": "import comfy_env.install\nprint(comfy_env.__spec__.origin)\n"}
    )
    both = os.pathsep.join([str(INSTALLERS), str(real.parents[1])])
    done = run_installer(pack, tmp_path / "store", python_path=both)
    assert done.stdout.strip() == "comfy-env manager", done.stderr


@pytest.mark.parametrize("name", ["comfy_env_core", "tests", "installers"])
def test_nothing_else_of_ours_becomes_importable(tmp_path: Path, name: str) -> None:
    code = f"import comfy_env, importlib.util\nprint(importlib.util.find_spec({name!r}))\n"
    done = run_installer(write_pack(tmp_path, {"install.py": code}), tmp_path / "store")
    found = done.stdout.strip()
    assert found == "None" or (name == "comfy_env_core" and "comfy_env_core" in found), done.stderr
