"""What a user is told when a pack's own code does not import: the file, the line, and what to write where."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from comfy_env_core.building.system_libraries import library_remedy, missing_library
from comfy_env_core.sites.failure import SiteFailure, failure_of
from comfy_env_core.wire.failures import describe_error, rebuild_error


def failure(tmp_path: Path, code: str) -> SiteFailure:
    """Of a pack whose node file holds `code`, told by another process."""
    (tmp_path / "nodes").mkdir()
    path = tmp_path / "nodes" / "mesh.py"
    path.write_text(f"import os\n\n{code}\n")
    spec = importlib.util.spec_from_file_location("pack_mesh", path)
    assert spec is not None and spec.loader is not None
    with pytest.raises(Exception) as raised:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return failure_of(rebuild_error(describe_error(raised.value)), None, tmp_path)


def test_a_missing_module_is_told_with_the_file_and_the_line_that_mends_it(tmp_path: Path) -> None:
    told = failure(tmp_path, "import cv2_that_nobody_has.gapi")
    assert told.cause == "node_import"
    assert "nodes/mesh.py, line 3: ModuleNotFoundError" in told.message
    assert '`cv2-that-nobody-has = "*"` under [pypi-dependencies]' in told.remedy


def test_the_index_has_another_name_for_some_modules(tmp_path: Path) -> None:
    told = failure(tmp_path, "raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')")
    assert '`opencv-python = "*"`' in told.remedy


def test_what_belongs_to_comfyui_is_not_asked_of_an_index(tmp_path: Path) -> None:
    told = failure(tmp_path, "raise ModuleNotFoundError('No module', name='comfy.utils')")
    assert 'host = "comfyui"' in told.remedy
    assert "pypi" not in told.remedy


def test_a_missing_system_library_is_told_with_its_package(tmp_path: Path) -> None:
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    told = failure(tmp_path, f"raise ImportError({text!r})")
    assert "apt install libgl1" in told.remedy
    assert "comfy-env-root.toml" in told.remedy


def test_any_other_error_names_the_last_file_of_the_pack(tmp_path: Path) -> None:
    told = failure(tmp_path, "def deep():\n    os.stat('/not/there')\ndeep()")
    assert "nodes/mesh.py, line 4: FileNotFoundError" in told.message
    assert "traceback" in told.remedy


def test_libraries_are_recognised_in_the_words_of_the_linker() -> None:
    assert (
        missing_library("ImportError: libX.so.1.2: cannot open shared object file: No such") == "libX.so.1.2"
    )
    assert missing_library("something about libraries.so") is None
    assert library_remedy("libX.so.1.2") == "Install the system library libX.so.1.2, then build again."
