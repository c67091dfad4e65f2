"""Which entries of `sys.path` a worker is told of."""

from __future__ import annotations

from pathlib import Path

from comfy_env_core.sites.search_path import entries_of_pack


def test_only_the_packs_own_folders_count_in_their_order(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    entries = [str(pack / "lib"), "/usr/lib/python3", str(tmp_path / "package"), "", "pack", str(pack)]
    assert entries_of_pack(pack, entries) == [str(pack / "lib"), str(pack)]


def test_a_linked_packs_folders_count_by_either_path(tmp_path: Path) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.symlink_to(real)
    entries = [str(real / "a"), str(linked / "b")]
    assert entries_of_pack(linked, entries) == entries
