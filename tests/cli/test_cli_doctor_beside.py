"""What `doctor` says of things beside environments, and of one package inside of them."""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

import pytest

from comfy_env_core.building.verification import try_package
from comfy_env_core.cli import program
from comfy_env_core.cli.commands import doctor
from comfy_env_core.doctor.beside import check_memory, check_prerequisites
from comfy_env_core.doctor.examination import examine
from comfy_env_core.prerequisites import survey
from comfy_env_core.prerequisites.system.apt import AptPackages

_FAILED = '@{"name": "x", "module": "x", "outcome": "failed", "error": "Traceback\\nOSError: libGL"}'


@pytest.fixture
def findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, dict[str, str]]:
    """By subject, on a Debian where nothing is installed, for a pack that wants something."""
    custom_nodes = tmp_path / "custom_nodes"
    (custom_nodes / "pack").mkdir(parents=True)
    (custom_nodes / "pack/comfy-env-root.toml").write_text(
        '[apt]\npackages = ["libgl1"]\n[node_reqs]\nOther = "owner/other"\n'
    )
    (custom_nodes / ".comfy-env-fetch-999999999-0123abcd.disabled").mkdir()
    (tmp_path / "status").write_text("")
    monkeypatch.setattr(survey, "this_system", lambda: AptPackages(status_path=tmp_path / "status"))
    monkeypatch.setattr(survey, "concerns_this_system", lambda section: section == "apt")
    checks = (("memory", check_memory), ("packs", check_prerequisites))
    monkeypatch.setattr(doctor, "examine", functools.partial(examine, checks=checks))
    assert program.main(["doctor", "--json", "--custom-nodes", str(custom_nodes)]) == 0
    told = json.loads(capsys.readouterr().out)["findings"]
    return {finding["subject"]: finding for finding in told}


def test_what_packs_ask_for_beside_environments_is_told_with_its_command(
    findings: dict[str, dict[str, str]],
) -> None:
    assert findings["system"]["text"] == "pack asks for libgl1, not installed"
    assert "apt-install pack" in findings["system"]["remedy"]
    assert findings["node packs"]["text"] == "pack asks for Other, not in custom_nodes"
    assert {findings[subject]["level"] for subject in ("system", "node packs", "leftovers")} == {"warn"}
    assert "node-packs --install" in findings["leftovers"]["remedy"]


def test_memory_is_told_in_numbers(findings: dict[str, dict[str, str]]) -> None:
    assert "GiB" in findings["memory"]["text"]


def test_package_that_imports_has_no_problem(tmp_path: Path) -> None:
    assert try_package(Path(sys.executable), tmp_path, "pytest") is None


@pytest.mark.skipif(os.name == "nt", reason="plays an interpreter by a shell script")
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (
            f"printf '%s\\n' '{_FAILED}'",
            "OSError: libGL",
        ),
        ("echo dying; kill -9 $$", "the interpreter ended with signal 9\ndying"),
    ],
)
def test_package_that_does_not_import_says_why(tmp_path: Path, script: str, problem: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    assert try_package(python, tmp_path, "x") == problem
