"""A worker of another version of the package: both sides say which versions met, and what to do."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from fakepack import spec_for, write_pack
from workers import StartWorker

from comfy_env_core import __version__
from comfy_env_core.supervision import WorkerStartError
from comfy_env_core.wire.protocol import PROTOCOL_VERSION

REPOSITORY = Path(__file__).resolve().parents[2]
OTHER_PROTOCOL = PROTOCOL_VERSION + 98

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the other version's Python is a shell script"
)


@pytest.fixture
def other_version(tmp_path: Path) -> Path:
    """An interpreter that starts the worker of a package with another protocol, as after an update of the files."""
    package = tmp_path / "other" / "comfy_env_core"
    shutil.copytree(REPOSITORY / "comfy_env_core", package, ignore=shutil.ignore_patterns("__pycache__"))
    protocol = package / "wire" / "protocol.py"
    text, replaced = re.subn(
        r"^PROTOCOL_VERSION = \d+$",
        f"PROTOCOL_VERSION = {OTHER_PROTOCOL}",
        protocol.read_text(),
        flags=re.MULTILINE,
    )
    assert replaced == 1
    protocol.write_text(text)
    python = tmp_path / "python"
    # The first argument is our boot.py; the other version's takes its place.
    python.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} {package / "worker" / "boot.py"} "$@"\n')
    python.chmod(0o755)
    return python


def test_worker_of_another_version_is_a_start_error_that_names_both(
    tmp_path: Path, start_worker: StartWorker, other_version: Path
) -> None:
    spec = spec_for(write_pack(tmp_path, {}), python=other_version)
    with pytest.raises(WorkerStartError) as caught:
        start_worker(spec)
    message = str(caught.value)
    assert f"speaks protocol {OTHER_PROTOCOL} (comfy-env manager {__version__})" in message
    assert f"this side speaks {PROTOCOL_VERSION}" in message
    assert "Restart ComfyUI" in message


def test_worker_of_another_version_leaves_the_same_in_its_log(
    tmp_path: Path, start_worker: StartWorker, other_version: Path
) -> None:
    spec = spec_for(write_pack(tmp_path, {}), python=other_version)
    with pytest.raises(WorkerStartError):
        start_worker(spec)
    log = spec.log_path.read_text()
    assert f"ComfyUI speaks protocol {PROTOCOL_VERSION} (comfy-env manager {__version__})" in log
    assert f"this side speaks {OTHER_PROTOCOL}" in log
