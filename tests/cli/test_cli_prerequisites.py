"""`apt-install` and `node-packs`, as a user and as a program calls them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import QuietReport, Report
from comfy_env_core.cli import program
from comfy_env_core.cli.commands import apt_install
from comfy_env_core.cli.exit_codes import FAILED, FINE, NOT_FOUND
from comfy_env_core.prerequisites import survey
from comfy_env_core.prerequisites.packs import requirements_step as step_module
from comfy_env_core.prerequisites.packs.requirements_step import requirements_step
from comfy_env_core.prerequisites.system.contract import InstallPlan

needs_git = pytest.mark.skipif(
    shutil.which("git") is None or sys.platform == "win32", reason="fetches from a repository on this disk"
)


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    directory = tmp_path / "custom_nodes"
    (directory / "asking").mkdir(parents=True)
    (directory / "asking/comfy-env-root.toml").write_text(
        '[apt]\npackages = ["libx", "liby"]\n[node_reqs]\nOther = "owner/other"\n'
    )
    return directory


class PlayedSystem:
    """A machine where liby is missing until it is installed."""

    name = "apt"

    def __init__(self, error: BuildError | None = None) -> None:
        self.error = error
        self.there = {"libx"}

    def missing(self, packages: Any) -> tuple[str, ...]:
        return tuple(package for package in packages if package not in self.there)

    def plan(self, missing: Any) -> InstallPlan:
        return InstallPlan(tuple(missing), (), (("sudo", "apt-get", "install", *missing),) if missing else ())

    def install(self, missing: Any, report: Report) -> None:
        report.log("Unpacking")
        if self.error is not None:
            raise self.error
        self.there.update(missing)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> PlayedSystem:
    played = PlayedSystem()
    for module in (survey, apt_install):
        monkeypatch.setattr(module, "this_system", lambda: played)
    monkeypatch.setattr(survey, "concerns_this_system", lambda section: section == "apt")
    return played


def call(custom_nodes: Path, *arguments: str) -> int:
    return program.main([*arguments, "--custom-nodes", str(custom_nodes)])


def test_without_the_rights_the_command_is_shown_and_the_exit_code_says_so(
    custom_nodes: Path, system: PlayedSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    system.error = BuildError(BuildCause.PERMISSION, "Not allowed.", "Type: sudo apt-get install liby")
    assert call(custom_nodes, "apt-install", "--json") == FAILED
    told = json.loads(capsys.readouterr().out)
    assert told["commands"] == [["sudo", "apt-get", "install", "liby"]]
    assert told["error"]["cause"] == "permission"
    assert told["installed"] is False


@pytest.mark.usefixtures("system")
def test_pack_that_does_not_exist_is_not_found(custom_nodes: Path) -> None:
    assert call(custom_nodes, "apt-install", "nobody") == NOT_FOUND
    assert call(custom_nodes, "node-packs", "nobody") == NOT_FOUND


def test_dry_run_shows_the_exact_command_and_installs_nothing(
    custom_nodes: Path, system: PlayedSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(custom_nodes, "apt-install", "--dry-run") == FINE
    assert capsys.readouterr().out.splitlines() == [
        "asking misses liby",
        "What installs them:",
        "  sudo apt-get install liby",
    ]
    assert system.there == {"libx"}


def test_explicit_call_installs_and_a_second_one_finds_nothing_to_do(
    custom_nodes: Path, system: PlayedSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(custom_nodes, "apt-install", "asking") == FINE
    assert "Installed. Restart ComfyUI" in capsys.readouterr().out
    assert call(custom_nodes, "apt-install") == FINE
    assert capsys.readouterr().out == "asking has all of libx, liby\n"


def test_listing_fetches_nothing_and_says_from_where_it_would(
    custom_nodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(custom_nodes, "node-packs") == FINE
    told = capsys.readouterr().out
    assert (
        f"Other: missing; https://github.com/owner/other would be fetched into {custom_nodes / 'Other'}"
        in told
    )
    assert "--install fetches" in told
    assert [path.name for path in custom_nodes.iterdir()] == ["asking"]


@needs_git
def test_missing_pack_is_fetched_and_what_is_left_to_do_is_told(
    custom_nodes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "forge/owner/other"
    repository.mkdir(parents=True)
    (repository / "requirements.txt").write_text("# what it needs\neinops\n")
    for arguments in (("init", "--quiet"), ("add", "-A"), ("commit", "--quiet", "-m", "x")):
        identity = ("-c", "user.name=dev", "-c", "user.email=dev")
        subprocess.run(("git", "-C", str(repository), *identity, *arguments), check=True)
    monkeypatch.setenv("COMFY_ENV_GITHUB_MIRROR", (tmp_path / "forge").as_uri())
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    assert call(custom_nodes, "node-packs", "--ask") == FINE
    assert "\n    now commit " in capsys.readouterr().out
    assert call(custom_nodes, "node-packs", "--install") == FINE
    told = capsys.readouterr().out
    assert "Other: fetched." in told
    assert f"cd {custom_nodes / 'Other'}" in told
    assert "-m pip install -r requirements.txt" in told
    assert "Restart ComfyUI" in told
    assert call(custom_nodes, "node-packs", "--json") == FINE
    (pack,) = json.loads(capsys.readouterr().out)["packs"]
    assert pack["node_packs"][0]["state"] == "present"


def test_pack_that_cannot_be_fetched_fails_with_its_reason(
    custom_nodes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMFY_ENV_GITHUB_MIRROR", "http://127.0.0.1:9")
    assert call(custom_nodes, "node-packs", "--install", "--json") == FAILED
    (done,) = json.loads(capsys.readouterr().out)["done"]
    assert done["result"] == "failed"
    assert "COMFY_ENV_GITHUB_MIRROR" in done["error"]["remedy"]


@pytest.fixture
def pack(custom_nodes: Path) -> Path:
    (custom_nodes / "Other").mkdir()
    (custom_nodes / "Other/requirements.txt").write_text("einops\n")
    return custom_nodes / "Other"


def test_manager_in_custom_nodes_is_the_one_that_installs(pack: Path, tmp_path: Path) -> None:
    (pack.parent / "ComfyUI-Manager").mkdir()
    told = tmp_path / "told"
    (pack.parent / "ComfyUI-Manager/cm-cli.py").write_text(
        f"import os, sys; open({str(told)!r}, 'w').write(' '.join([os.environ['COMFYUI_PATH'], *sys.argv[1:]]))"
    )
    step = requirements_step(pack, tmp_path / "ComfyUI")
    assert step is not None
    assert step.is_by_manager
    step.run(QuietReport())
    assert told.read_text() == f"{tmp_path / 'ComfyUI'} post-install {pack}"
    (pack.parent / "ComfyUI-Manager/cm-cli.py").write_text("print('no pip'); raise SystemExit(3)")
    with pytest.raises(BuildError, match="ended with 3") as caught:
        step.run(QuietReport())
    assert caught.value.tail == ("no pip",)


def test_manager_that_is_a_package_is_started_as_a_module(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_module.importlib.util, "find_spec", lambda name: object())
    step = requirements_step(pack, tmp_path / "ComfyUI", "python")
    assert step is not None
    assert step.argv == (("python", "-m", "cm_cli", "post-install", str(pack)),)


def test_without_the_manager_pip_is_told_and_never_run(pack: Path) -> None:
    step = requirements_step(pack, None, "python")
    assert step is not None
    assert not step.is_by_manager
    assert step.shell_lines() == ("python -m pip install -r requirements.txt",)
    with pytest.raises(ValueError, match="for the user to run"):
        step.run(QuietReport())


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "comfy-env>=0.4\n"])
def test_pack_whose_requirements_are_ours_leaves_nothing_to_do(pack: Path, text: str) -> None:
    (pack / "requirements.txt").write_text(text)
    assert requirements_step(pack, None) is None
