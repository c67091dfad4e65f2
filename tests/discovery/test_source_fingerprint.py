"""The fingerprint changes with the files that matter, and only with those."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from comfy_env_core.discovery import host_skips, scan, source_fingerprint

Plant = Callable[[Mapping[str, str]], Path]

FILES = {
    "pack/__init__.py": "",
    "pack/shared.py": "",
    "pack/settings.json": "",
    "pack/nodes/comfy-env.toml": "",
    "pack/nodes/mesh.py": "x = 1",
    "pack/nodes/sizes.json": "{}",
    "pack/nodes/readme.md": "",
    "pack/nodes/__pycache__/mesh.py": "",
    "pack/nodes/inner/comfy-env.toml": "",
    "pack/nodes/inner/other.py": "",
}


def fingerprint(top: Path, site_id: str) -> str:
    found = scan([top], host_skips(False, ()))
    (site,) = (site for site in found.sites if site.id == site_id)
    return source_fingerprint(site, found.nested(site))


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def test_it_is_the_same_while_nothing_changes(plant: Plant) -> None:
    top = plant(FILES)
    assert fingerprint(top, "pack/nodes") == fingerprint(top, "pack/nodes")


@pytest.mark.parametrize("name", ["nodes/mesh.py", "nodes/sizes.json", "nodes/comfy-env.toml", "shared.py"])
def test_a_touched_file_that_matters_changes_it(plant: Plant, name: str) -> None:
    top = plant(FILES)
    before = fingerprint(top, "pack/nodes")
    touch(top / "pack" / name)
    assert fingerprint(top, "pack/nodes") != before


@pytest.mark.parametrize("name", ["nodes/readme.md", "nodes/__pycache__/mesh.py", "settings.json"])
def test_a_touched_file_that_does_not_matter_leaves_it(plant: Plant, name: str) -> None:
    top = plant(FILES)
    before = fingerprint(top, "pack/nodes")
    touch(top / "pack" / name)
    assert fingerprint(top, "pack/nodes") == before


def test_a_nested_site_is_not_part_of_a_root_site(plant: Plant) -> None:
    top = plant({**FILES, "pack/comfy-env.toml": ""})
    before = fingerprint(top, "pack")
    touch(top / "pack" / "nodes" / "mesh.py")
    assert fingerprint(top, "pack") == before
    touch(top / "pack" / "shared.py")
    assert fingerprint(top, "pack") != before


@pytest.mark.parametrize(("old", "new"), [("mesh.py", "mesh2.py"), ("mesh.py", "mesh.txt")])
def test_a_renamed_file_changes_it(plant: Plant, old: str, new: str) -> None:
    top = plant(FILES)
    before = fingerprint(top, "pack/nodes")
    (top / "pack" / "nodes" / old).rename(top / "pack" / "nodes" / new)
    assert fingerprint(top, "pack/nodes") != before


def test_a_dangling_link_is_part_of_it(plant: Plant) -> None:
    top = plant(FILES)
    before = fingerprint(top, "pack/nodes")
    link = top / "pack" / "nodes" / "linked.py"
    try:
        link.symlink_to(top / "gone.py")
    except OSError as error:
        pytest.skip(f"no symlinks here: {error}")
    dangling = fingerprint(top, "pack/nodes")
    assert dangling != before
    (top / "gone.py").write_text("")
    assert fingerprint(top, "pack/nodes") != dangling
