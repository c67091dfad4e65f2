"""Sizes where files are shared by hard links: told truthfully, whoever shares with whom."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from comfy_env_core.environments.sizes import ELSEWHERE, measure, size_of

KB = 1024


def write(path: Path, kilobytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * (kilobytes * KB))
    return path


def link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, place)


def own(directory: Path) -> int:
    """What the directories themselves take: 0 on some file systems, 4 KB each on others."""
    if sys.platform == "win32":
        return 0
    return sum(path.lstat().st_blocks * 512 for path in (directory, *directory.rglob("*")) if path.is_dir())


def test_what_is_missing_takes_nothing(tmp_path: Path) -> None:
    assert size_of(tmp_path / "absent").total_bytes == 0


def test_several_links_in_one_tree_count_once_and_come_back_with_it(tmp_path: Path) -> None:
    one = tmp_path / "one"
    link(write(one / "a", 64), one / "inner" / "b")
    size = size_of(one)
    assert (size.unique_bytes, size.shared_bytes) == (64 * KB + own(one), 0)


def test_what_others_hold_too_does_not_come_back_and_is_told_by_name(tmp_path: Path) -> None:
    cached = write(tmp_path / "cache" / "torch", 256)
    for name in ("one", "two"):
        link(cached, tmp_path / name / "torch")
        write(tmp_path / name / "own", 64)
    link(write(tmp_path / "one" / "borrowed", 32), tmp_path / "not measured" / "file")
    measured = measure({name: [tmp_path / name] for name in ("cache", "one", "two")})
    one = measured.size("one")
    assert one.unique_bytes == 64 * KB + own(tmp_path / "one")
    assert one.shared_bytes == (256 + 32) * KB
    assert one.shared_with == {"cache": 256 * KB, "two": 256 * KB, ELSEWHERE: 32 * KB}
    directories = sum(own(tmp_path / name) for name in ("one", "two", "cache"))
    assert measured.total_bytes() == (256 + 64 + 64 + 32) * KB + directories


def test_removing_all_that_share_gives_back_more_than_each_alone(tmp_path: Path) -> None:
    link(write(tmp_path / "one" / "torch", 256), tmp_path / "two" / "torch")
    measured = measure({name: [tmp_path / name] for name in ("one", "two")})
    assert measured.size("one").unique_bytes == own(tmp_path / "one")
    both = own(tmp_path / "one") + own(tmp_path / "two")
    assert measured.freed_by_removing(["one"]) == own(tmp_path / "one")
    assert measured.freed_by_removing(["one", "two"]) == 256 * KB + both


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "outside" / "big", 512)
    (tmp_path / "tree").mkdir()
    if sys.platform == "win32":
        pytest.skip("SKIPPED LOUDLY: links need a privilege here")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    assert size_of(tmp_path / "tree").total_bytes < 512 * KB


@pytest.mark.skipif(sys.platform == "win32", reason="tells only what a file holds")
def test_a_file_counts_by_the_blocks_that_it_takes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write(tree / "small", 0).write_bytes(b"x")
    with open(tree / "sparse", "wb") as file:
        file.truncate(100 * 2**20)
    size = size_of(tree)
    assert own(tree) < size.unique_bytes < 2**20
