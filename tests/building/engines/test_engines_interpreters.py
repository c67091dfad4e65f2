"""Finding interpreters among things that only look like one."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.building.engines.interpreter_places import Candidate, candidates
from comfy_env_core.building.engines.interpreters import (
    Interpreter,
    Interpreters,
    Refused,
    verify,
)
from comfy_env_core.building.engines.version_range import PythonWanted, VersionRange
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.user_settings import UserSettings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the impostors are shell scripts")

MINE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def empty_settings(home: Path, **environ: str) -> UserSettings:
    return UserSettings.gather({"PATH": "", "HOME": str(home), **environ}, home)


def answer(**changed: object) -> str:
    """A script that gives a CPython's answer with these facts changed."""
    facts = {
        "version": "3.12.1",
        "implementation": "CPython",
        "machine": "x86_64",
        "bits": 64,
        "release": "final",
    }
    more = {"prefix": "/a", "base_prefix": "/a", "lacks": "", "free_threaded": False}
    return f"echo '{json.dumps({**facts, **more, **changed})}'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 127", "exit code 127"),
        ("echo hello", "does not answer"),
        ("exec /nonexistent/python", "exit code"),
        (answer(implementation="PyPy"), "is PyPy"),
        (answer(machine="pdp11", bits=16), "pdp11"),
        (answer(release="candidate"), "pre-release"),
        (answer(free_threaded=True), "free-threaded"),
        (answer(lacks="No module named '_ssl'".replace("'", "")), "_ssl"),
    ],
)
def test_what_is_no_usable_python_is_refused_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    refused = verify(Candidate(script(tmp_path / "python3.12", text), "test"))
    assert isinstance(refused, Refused)
    assert reason in refused.reason


def test_a_virtual_environment_is_refused_unless_the_user_named_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    python = tmp_path / "v/bin/python"
    assert isinstance(verify(Candidate(python, "PATH")), Refused)
    assert isinstance(verify(Candidate(python, "COMFY_ENV_PYTHON", explicit=True)), Interpreter)


def test_a_python_path_variable_does_not_reach_the_candidates(tmp_path: Path) -> None:
    (tmp_path / "ssl.py").write_text("raise ImportError('poisoned')")
    settings = empty_settings(tmp_path, PYTHONPATH=str(tmp_path), PYTHONHOME="/nowhere")
    found, _ = Interpreters(settings, tmp_path / "pythons").find(PythonWanted(MINE))
    assert found is not None


def test_pyenv_installations_are_found_by_directory_and_its_shims_are_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "shim-ran"
    script(tmp_path / ".pyenv/shims/python3.8", f"touch {marker}")
    (tmp_path / ".pyenv/versions/99.1.0/bin").mkdir(parents=True)
    (tmp_path / ".pyenv/versions/99.1.0/bin/python3").symlink_to(HostPython.current().base_executable)
    script(tmp_path / ".pyenv/versions/3.7.0/bin/python3", "exit 3")
    settings = empty_settings(tmp_path, PATH=str(tmp_path / ".pyenv/shims"))
    places = [c.path for c in candidates(settings, tmp_path / "pythons") if c.where == "pyenv"]
    assert places == [
        tmp_path / ".pyenv/versions/99.1.0/bin/python3",
        tmp_path / ".pyenv/versions/3.7.0/bin/python3",
    ]
    _, tried = Interpreters(settings, tmp_path / "pythons").find(PythonWanted("3.6"))
    assert any("3.7.0" in line and "exit code 3" in line for line in tried)
    assert not marker.exists()


def test_the_users_word_comes_first_then_comfyuis_own_python(tmp_path: Path) -> None:
    settings = dataclasses.replace(empty_settings(tmp_path), python_path=Path(sys.executable))
    order = [candidate.where for candidate in candidates(settings, tmp_path / "pythons")]
    assert order[:2] == ["COMFY_ENV_PYTHON", "ComfyUI's own Python"]


def test_each_interpreter_is_run_once_for_the_life_of_the_object(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    python = script(tmp_path / ".pyenv/versions/3.12.0/bin/python3", f"echo x >> {counter}; exit 1")
    interpreters = Interpreters(empty_settings(tmp_path), tmp_path / "pythons")
    for wanted in ("3.12", "3.10"):
        _, tried = interpreters.find(PythonWanted(wanted))
        assert any(str(python) in line for line in tried)
    assert counter.read_text() == "x\n"


def test_only_interpreters_whose_name_fits_are_run_while_one_of_them_will_do(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    script(tmp_path / ".pyenv/versions/3.6.0/bin/python3", f"touch {marker}; exit 1")
    found, _ = Interpreters(empty_settings(tmp_path), tmp_path / "pythons").find(PythonWanted(MINE))
    assert found is not None
    assert not marker.exists()


@pytest.mark.skipif(os.name == "nt", reason="symlinks")
def test_a_link_that_leads_to_itself_stops_nothing(tmp_path: Path) -> None:
    directory = tmp_path / ".pyenv/versions/3.12.0/bin"
    directory.mkdir(parents=True)
    (directory / "python3").symlink_to("python3")
    found, _ = Interpreters(empty_settings(tmp_path), tmp_path / "pythons").find(PythonWanted(MINE))
    assert found is not None


@pytest.mark.parametrize(
    ("wanted", "yes", "no"),
    [
        ("3.10", ["3.10.0", "3.10.13"], ["3.1.0", "3.11.0"]),
        ("3.10.13", ["3.10.13"], ["3.10.12"]),
        (">=3.10,<3.12", ["3.10.0", "3.11.9"], ["3.9.18", "3.12.0"]),
        ("~=3.10", ["3.10.4", "3.12.0"], ["3.9.0"]),
        (">3.10", ["3.10.1", "3.11.0"], ["3.10.0", "3.9.1"]),
        ("<=3.11", ["3.11.9", "3.10.0"], ["3.12.0"]),
        ("!=3.11.*,>=3.10", ["3.10.1", "3.12.0"], ["3.11.5"]),
        ("*", ["3.10.1"], []),
    ],
)
def test_ranges_are_read_as_the_file_means_them(wanted: str, yes: list[str], no: list[str]) -> None:
    assert [version for version in yes if not PythonWanted(wanted).accepts(version)] == []
    assert [version for version in no if PythonWanted(wanted).accepts(version)] == []


def test_conda_is_asked_for_the_series_and_not_for_its_first_release() -> None:
    assert PythonWanted("3.10").conda_spec == "3.10.*"
    assert PythonWanted("3.10.13").conda_spec == "==3.10.13"
    assert PythonWanted(">=3.10,<3.12").conda_spec == ">=3.10,<3.12"


def test_local_and_pre_release_parts_do_not_hide_a_version() -> None:
    assert VersionRange("==2.8.0").accepts("2.8.0+cu128")
    assert VersionRange(">=2").accepts("2.0rc1")
    assert not VersionRange(">=2").accepts("")
