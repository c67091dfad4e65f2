"""Which disks the store could be moved to."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from comfy_env_core.environments import disks
from comfy_env_core.environments.disks import store_places
from comfy_env_core.environments.store import Store

GB = 10**9


class Disk(NamedTuple):
    mountpoint: str
    fstype: str = "ext4"
    opts: str = "rw,relatime"


class Room(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each directory right below the temporary one counts as a disk, of 100 GB if its name says no other size."""
    for name in ("home", "big", "stick-fat", "small-8", "full-100"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / "ce").mkdir()

    def disk_of(path: Path) -> str:
        return Path(path).relative_to(tmp_path).parts[0]

    def usage(path: Path) -> Room:
        name = disk_of(path)
        total = int(name.partition("-")[2]) * GB if name.partition("-")[2].isdecimal() else 100 * GB
        return Room(total, 0, 0 if name.startswith("full") else total // 2)

    monkeypatch.setattr(disks, "_device", lambda path: disk_of(disks._existing(path)))
    monkeypatch.setattr(shutil, "disk_usage", usage)
    return tmp_path


def paths(machine: Path, *partitions: Disk) -> list[str]:
    places = store_places(Store(machine / "home" / "ce"), lambda: partitions, machine / "home" / "ce")
    return [str(place.path.relative_to(machine)) for place in places]


@pytest.mark.skipif(sys.platform == "win32", reason="names and access are those of POSIX")
def test_only_disks_that_can_hold_environments_are_offered(machine: Path) -> None:
    (machine / "file").write_text("")
    found = paths(
        machine,
        Disk(f"{machine}/home"),
        Disk(f"{machine}/big"),
        Disk(f"{machine}/big", "btrfs"),
        Disk(f"{machine}/stick-fat", "vfat"),
        Disk(f"{machine}/small-8"),
        Disk(f"{machine}/full-100"),
        Disk(f"{machine}/big", opts="ro,relatime"),
        Disk(f"{machine}/file"),
        Disk(f"{machine}/gone"),
    )
    assert found == ["home/ce", "big/comfy-env-store"]
    assert not (machine / "big" / "comfy-env-store").exists(), "looking creates nothing"


@pytest.mark.skipif(sys.platform == "win32", reason="mount options of POSIX")
@pytest.mark.parametrize("options", ["ro", "rw,noexec,nosuid"])
def test_a_disk_that_is_mounted_unfit_is_left_out(machine: Path, options: str) -> None:
    assert paths(machine, Disk(f"{machine}/big", opts=options)) == ["home/ce"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_disk_that_is_not_ours_is_left_out(machine: Path) -> None:
    (machine / "big").chmod(0o500)
    assert paths(machine, Disk(f"{machine}/big")) == ["home/ce"]


def test_a_place_keeps_its_id_whatever_is_mounted_beside_it(machine: Path) -> None:
    store = Store(machine / "home" / "ce")
    alone = store_places(store, lambda: [Disk(f"{machine}/big")], machine / "home" / "ce")
    (machine / "more").mkdir()
    both = store_places(
        store, lambda: [Disk(f"{machine}/more"), Disk(f"{machine}/big")], machine / "home" / "ce"
    )
    assert alone[1].id == next(place.id for place in both if place.path == alone[1].path)
    assert len({place.id for place in both}) == 3 and both[0].id == "default"


def test_the_real_machine_can_be_looked_at(tmp_path: Path) -> None:
    first, *_ = store_places(Store(tmp_path))
    assert first.id == "default" and first.total_bytes
