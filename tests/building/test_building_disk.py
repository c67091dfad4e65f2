"""Disks that refuse: full, read-only, not a directory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from building.fake_engine import FakeEngine, make_plan, write_config
from patience import PATIENCE_S

from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.building.install_log import InstallLog
from comfy_env_core.building.jobs import Builder, JobSnapshot
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="mounts, modes and devices of POSIX")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("SKIPPED LOUDLY: mounting a small tmpfs needs root; a full disk is not tested here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def build(store: Store, tmp_path: Path) -> JobSnapshot:
    builder = Builder(store, lambda report: FakeEngine())
    end = builder.submit(make_plan(write_config(tmp_path, "alpha"))).wait(PATIENCE_S)
    assert builder.shutdown()
    return end


def refused(end: JobSnapshot) -> BuildError:
    assert end.state is EnvironmentState.FAILED
    assert end.error is not None
    assert "COMFY_ENV_ROOT" in end.error.remedy
    return end.error


def test_a_disk_that_is_too_small_is_refused_before_anything_is_downloaded(
    small_disk: Path, tmp_path: Path
) -> None:
    error = refused(build(Store(small_disk / "store"), tmp_path))
    assert error.cause is BuildCause.DISK_FULL
    assert "MB left" in error.message


def test_a_disk_that_is_already_full_is_named_as_such(small_disk: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left"),
        (small_disk / "filler").open("wb", buffering=0) as filler,
    ):
        while True:
            filler.write(b"x" * 4096)
    error = refused(build(Store(small_disk / "store"), tmp_path))
    assert error.cause is BuildCause.DISK_FULL
    assert not list((small_disk / "store").rglob(".done"))


def test_a_read_only_store_is_named_as_such(small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    error = refused(build(Store(small_disk / "store"), tmp_path))
    assert error.cause is BuildCause.PERMISSION
    assert str(small_disk) in error.message


def test_a_store_without_the_right_to_write_is_named_as_such(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("SKIPPED LOUDLY: root may write everywhere")
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    assert refused(build(Store(place / "store"), tmp_path)).cause is BuildCause.PERMISSION


def test_a_store_below_a_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(build(Store(tmp_path / "file" / "store"), tmp_path)).cause is BuildCause.INTERNAL


def test_a_write_that_finds_the_disk_full_becomes_a_build_error() -> None:
    """`/dev/full` refuses every write in the way a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("SKIPPED LOUDLY: this system has no /dev/full")
    with (
        pytest.raises(OSError, match="No space left") as caught,
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    error = disk_error(caught.value, "Filling the environment", Path("/store"))
    assert error.cause is BuildCause.DISK_FULL
    assert error.__cause__ is caught.value


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, BuildCause.DISK_FULL),
        (errno.EDQUOT, BuildCause.DISK_FULL),
        (errno.EACCES, BuildCause.PERMISSION),
        (errno.EPERM, BuildCause.PERMISSION),
        (errno.EROFS, BuildCause.PERMISSION),
        (errno.EIO, BuildCause.INTERNAL),
    ],
)
def test_every_refusal_has_its_cause(number: int, cause: BuildCause) -> None:
    assert disk_error(OSError(number, "no"), "Writing", Path("/store")).cause is cause


def test_a_log_on_a_full_disk_keeps_its_tail_and_stops_nothing(small_disk: Path) -> None:
    log = InstallLog(small_disk / "install.log", ("header",))
    with (
        pytest.raises(OSError, match="No space left"),
        (small_disk / "filler").open("wb", buffering=0) as filler,
    ):
        while True:
            filler.write(b"x" * 4096)
    for number in range(500):
        log.line(f"line {number} " + "y" * 100)
    log.close("done")
    assert log.tail()[-1].startswith("line 499")
