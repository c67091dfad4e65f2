"""What all packs of a scan ask for together, from files alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.building.report import QuietReport
from comfy_env_core.discovery import Scan, host_skips, scan
from comfy_env_core.prerequisites import survey as survey_module
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.survey import Survey, survey
from comfy_env_core.prerequisites.system import choosing
from comfy_env_core.prerequisites.system.apt import AptPackages
from comfy_env_core.prerequisites.system.homebrew import HomebrewPackages

from .conftest import ROOT_FILE_NAME


def plant(custom_nodes: Path, path: str, text: str) -> None:
    (custom_nodes / path).parent.mkdir(parents=True, exist_ok=True)
    (custom_nodes / path).write_text(text)


def look(custom_nodes: Path) -> Scan:
    return scan((custom_nodes,), host_skips(disable_all=False, whitelist=()))


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AptPackages:
    """A machine with libgl1 and nothing else."""
    (tmp_path / "status").write_text("Package: libgl1\nStatus: install ok installed\nArchitecture: amd64\n")
    apt = AptPackages(status_path=tmp_path / "status", lists_path=tmp_path / "lists")
    monkeypatch.setattr(survey_module, "this_system", lambda: apt)
    monkeypatch.setattr(survey_module, "concerns_this_system", lambda section: section == "apt")
    return apt


@pytest.mark.usefixtures("debian")
def test_needs_of_every_pack_are_told_and_each_package_is_missing_once(custom_nodes: Path) -> None:
    plant(
        custom_nodes,
        f"a/{ROOT_FILE_NAME}",
        '[apt]\npackages = ["libgl1", "ffmpeg"]\n[brew]\npackages = ["x"]\n',
    )
    plant(
        custom_nodes,
        f"b/{ROOT_FILE_NAME}",
        '[apt]\npackages = ["ffmpeg"]\n[node_reqs]\na = "o/a"\nc = "o/c"\n',
    )
    plant(custom_nodes, "plain/__init__.py", "")
    found = survey(look(custom_nodes), Addresses())
    assert [needs.pack.name for needs in found.packs] == ["a", "b"]
    assert found.missing_system_packages == ("ffmpeg",)
    first, second = found.as_json()["packs"]
    assert first["system"] == {
        "section": "apt",
        "wanted": ("libgl1", "ffmpeg"),
        "missing": ("ffmpeg",),
        "problem": None,
    }
    assert [(need["directory"], need["state"]) for need in second["node_packs"]] == [
        ("a", "present"),
        ("c", "missing"),
    ]
    ((directory, wanted),) = found.missing_node_packs().items()
    assert directory == custom_nodes
    assert [(one.requirement.directory, one.asked_by) for one in wanted] == [("c", "b")]


@pytest.mark.usefixtures("debian")
def test_file_that_cannot_be_read_is_told_and_hides_no_other(custom_nodes: Path) -> None:
    plant(custom_nodes, f"a/{ROOT_FILE_NAME}", '[apt]\npackages = "ffmpeg"\n')
    plant(custom_nodes, f"b/{ROOT_FILE_NAME}", '[apt]\npackages = ["ffmpeg"]\n')
    found = survey(look(custom_nodes), Addresses())
    assert found.missing_system_packages == ("ffmpeg",)
    assert "line 2, key 'apt.packages'" in found.unreadable[0]


@pytest.mark.usefixtures("debian")
def test_what_older_files_of_environments_ask_for_counts(custom_nodes: Path) -> None:
    plant(custom_nodes, "a/nodes/comfy-env.toml", '[apt]\npackages = ["ffmpeg"]\n[node_reqs]\nC = "o/c"\n')
    plant(custom_nodes, f"b/{ROOT_FILE_NAME}", '[node_packs]\nD = "o/d"\n')
    found = survey(look(custom_nodes), Addresses())
    assert found.missing_system_packages == ("ffmpeg",)
    assert [one.requirement.directory for one in found.missing_node_packs()[custom_nodes]] == ["C", "D"]


def _on(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(choosing.apt, "is_here", lambda: False)
    monkeypatch.setattr(choosing.homebrew, "find_brew", lambda: None)


def survey_of(custom_nodes: Path) -> Survey:
    plant(
        custom_nodes, f"a/{ROOT_FILE_NAME}", '[apt]\npackages = ["libgl1"]\n[brew]\npackages = ["ffmpeg"]\n'
    )
    return survey(look(custom_nodes), Addresses())


def test_linux_without_apt_is_told_the_names_and_given_no_guess(
    custom_nodes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _on("linux", monkeypatch)
    (needs,) = survey_of(custom_nodes).packs
    assert needs.system is not None
    assert needs.system.problem is not None
    assert "has no apt, and the names are Debian's: libgl1" in needs.system.problem
    assert needs.system.missing == ()


def test_mac_is_asked_for_formulae_alone(custom_nodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on("darwin", monkeypatch)
    (needs,) = survey_of(custom_nodes).packs
    assert needs.system is not None
    assert (needs.system.section, needs.system.wanted) == ("brew", ("ffmpeg",))
    assert needs.system.problem is not None
    assert "Homebrew is not installed" in needs.system.problem


def test_windows_is_asked_for_no_system_packages(custom_nodes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _on("win32", monkeypatch)
    (needs,) = survey_of(custom_nodes).packs
    assert needs.system is None


@pytest.mark.skipif(sys.platform == "win32", reason="Homebrew is a shell script")
def test_formulae_are_there_by_name_alias_and_tap_and_the_others_are_installed(tmp_path: Path) -> None:
    brew = tmp_path / "bin/brew"
    brew.parent.mkdir()
    (tmp_path / "opt/ffmpeg").mkdir(parents=True)
    (tmp_path / "opt/python").symlink_to(tmp_path / "opt/ffmpeg")
    brew.write_text(f'#!/bin/sh\necho "brew $*"; for name in "$@"; do mkdir -p {tmp_path}/opt/$name; done\n')
    brew.chmod(0o755)
    system = HomebrewPackages(brew)
    assert system.missing(["ffmpeg", "python", "owner/tap/ffmpeg", "libomp"]) == ("libomp",)
    assert system.plan(["libomp"]).shell_lines() == ("brew install --formula libomp",)
    system.install(["libomp"], QuietReport())
    assert system.missing(["libomp"]) == ()


def test_a_start_imports_nothing_of_all_this() -> None:
    script = (
        "import sys, comfy_env_core.assembly, comfy_env_core.discovery; "
        "print([name for name in sys.modules if name.startswith('comfy_env_core.prerequisites')])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
