"""Places where environments cannot live are told before anything is fetched."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest
from building.engines.samples import RecordingReport

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.store_place import LENGTH_REMEDY, _check_links, check_place, length_warning

only_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rules for this")


def failure(root: Path, prefix: Path | None = None) -> BuildError:
    with pytest.raises(BuildError) as caught:
        check_place(root, prefix or root, RecordingReport())
    assert caught.value.cause is BuildCause.CONFIG
    assert "COMFY_ENV_ROOT" in caught.value.remedy
    return caught.value


@only_posix
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"bad\xff")
    root.mkdir()
    assert "no text" in str(failure(root))


@only_posix
def test_a_disk_without_symbolic_links_is_refused(tmp_path: Path) -> None:
    def refuse(target: str, place: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")  # what FAT says on Linux

    with pytest.raises(BuildError, match="exFAT") as caught:
        _check_links(tmp_path, refuse)
    assert "COMFY_ENV_ROOT" in caught.value.remedy


@only_posix
def test_a_full_or_read_only_disk_is_left_to_whoever_writes_there(tmp_path: Path) -> None:
    def refuse(target: str, place: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    _check_links(tmp_path, refuse)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a Linux tmpfs")
def test_a_disk_from_which_nothing_may_be_started_is_refused(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "noexec,size=1m", "tmpfs", tmp_path],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        assert "noexec" in str(failure(tmp_path))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@only_posix
def test_a_prefix_longer_than_conda_packages_have_room_for_is_refused(tmp_path: Path) -> None:
    prefix = tmp_path / ("p" * 255)
    assert "255" in str(failure(tmp_path, prefix))


def test_windows_own_limit_is_foreseen_with_a_remedy() -> None:
    inside = "_env_0123abcd\\1\\.pixi\\envs\\default"
    assert length_warning(PureWindowsPath(f"C:\\ce\\{inside}")) is None  # type: ignore[arg-type]
    deep = length_warning(PureWindowsPath(f"C:\\Users\\somebody\\AppData\\ComfyUI\\environments\\{inside}"))  # type: ignore[arg-type]
    assert deep is not None
    assert "259" in deep
    assert "COMFY_ENV_ROOT" in LENGTH_REMEDY


@pytest.mark.parametrize("name", ["with space", "ümlaut 日本", "quote's", "dollar $x"])
def test_ordinary_odd_names_are_fine_and_nothing_is_left_behind(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    root.mkdir()
    check_place(root, root / "_env_0123abcd", RecordingReport())
    assert list(root.iterdir()) == []
