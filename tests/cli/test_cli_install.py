"""`python install.py` as ComfyUI-Manager runs it: a process of its own, in the pack's directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    directory = tmp_path / "custom_nodes"
    directory.mkdir()
    return directory


def install(
    custom_nodes: Path, *, python: Sequence[str] = (sys.executable,), **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COMFY_ENV_ROOT": str(custom_nodes.parent / "store"), **variables}
    return subprocess.run(
        [*python, "install.py", str(custom_nodes)],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def write_pack(custom_nodes: Path, name: str, config: str) -> None:
    (custom_nodes / name).mkdir()
    (custom_nodes / name / "comfy-env.toml").write_text(config)
    (custom_nodes / name / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")


def test_a_broken_file_ends_in_a_plain_summary_and_a_failing_exit_code(custom_nodes: Path) -> None:
    write_pack(custom_nodes, "bad", "python = 3.10\n")
    outcome = install(custom_nodes)
    assert outcome.returncode == 1
    last = outcome.stdout.splitlines()[-1]
    assert last.strip().startswith("bad: ") and "comfy-env.toml" in last and '"3.10"' in last
    assert "0 ready, 1 failed" in outcome.stdout
    assert "Traceback" not in outcome.stdout


def test_what_packs_ask_for_beside_environments_is_told_and_not_installed(custom_nodes: Path) -> None:
    write_pack(custom_nodes, "bad", "python = 3.10\n")
    (custom_nodes / "bad" / "comfy-env-root.toml").write_text('[node_reqs]\nOther = "owner/other"\n')
    told = install(custom_nodes).stdout
    assert "bad asks for Other, not in custom_nodes. `node-packs bad --install` fetches them." in told
    assert not (custom_nodes / "Other").exists()


def test_nothing_to_build_is_a_success(custom_nodes: Path) -> None:
    outcome = install(custom_nodes)
    assert (outcome.returncode, "0 ready, 0 failed" in outcome.stdout) == (0, True), outcome.stdout


def test_without_our_libraries_and_without_network_it_names_the_command_that_helps(
    custom_nodes: Path,
) -> None:
    """`-S` leaves site-packages out: the standard library alone, as before the first `pip install`."""
    outcome = install(custom_nodes, python=(sys.executable, "-S"), PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert outcome.returncode == 1
    assert "msgpack" in outcome.stdout and "-m pip install" in outcome.stdout
    assert "Traceback" not in outcome.stdout


def test_without_our_libraries_it_fetches_them_into_the_store_and_goes_on(custom_nodes: Path) -> None:
    outcome = install(custom_nodes, python=(sys.executable, "-S"))
    assert outcome.returncode == 0, outcome.stdout
    assert list((custom_nodes.parent / "store" / "runtime").glob("*/msgpack"))
