"""What a scan finds, and what it must not look into."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from comfy_env_core.discovery import Scan, Site, Skipped, host_skips, scan

Plant = Callable[[Mapping[str, str]], Path]

GOOD = 'python = "3.11"\n'
ALL_LOAD = host_skips(disable_all=False, whitelist=())

needs_symlinks = pytest.mark.skipif(sys.platform == "win32", reason="symlinks need a privilege on Windows")


def ids(found: Scan) -> list[str]:
    return [site.id for site in found.sites]


def test_a_directory_that_is_missing_is_reported_and_the_rest_scanned(plant: Plant) -> None:
    top = plant({"pack/comfy-env.toml": GOOD})
    found = scan([top / "nowhere", top], ALL_LOAD)
    assert ids(found) == ["pack"]
    (skipped,) = found.skipped
    assert skipped.name == str(top / "nowhere")
    assert "cannot be read" in skipped.reason


def test_a_wrong_configuration_becomes_the_error_of_its_site(plant: Plant) -> None:
    found = scan([plant({"a/comfy-env.toml": "python = 3.10", "b/comfy-env.toml": GOOD})], ALL_LOAD)
    wrong, right = found.sites
    assert wrong.spec is None
    assert wrong.error is not None
    assert wrong.error.line == 1
    assert right.error is None
    assert right.spec is not None
    assert right.spec.python == "3.11"


def test_a_wrong_root_file_is_reported_by_pack(plant: Plant) -> None:
    top = plant({"a/comfy-env-root.toml": "apt = 1", "b/comfy-env-root.toml": '[apt]\npackages = ["x1"]'})
    found = scan([top], ALL_LOAD)
    assert list(found.roots) == ["b"]
    assert found.roots["b"].prerequisites.apt == ("x1",)
    assert found.root_errors["a"].key == "apt"


def test_a_file_that_speaks_of_its_pack_alone_isolates_nothing_and_is_read_as_the_root_file(
    plant: Plant,
) -> None:
    pack_alone = '[apt]\npackages = ["libgl1"]\n[local.cuda]\nflash-attn = "*"\n'
    top = plant(
        {
            "a/comfy-env.toml": pack_alone,
            "a/nodes/comfy-env.toml": GOOD,
            "b/comfy-env.toml": pack_alone,
            "b/comfy-env-root.toml": '[brew]\npackages = ["ffmpeg"]',
        }
    )
    found = scan([top], ALL_LOAD)
    assert ids(found) == ["a/nodes"]
    assert found.roots["a"].prerequisites.apt == ("libgl1",)
    assert found.roots["b"].prerequisites.apt == ()
    assert [mistake.path.parent.name for mistake in found.mistakes] == ["a", "b"]
    assert "isolates nothing" in found.mistakes[0].problem


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_in_place_of_a_configuration_does_not_stop_the_scan(plant: Plant) -> None:
    top = plant({"pack/__init__.py": ""})
    os.mkfifo(top / "pack" / "comfy-env.toml")
    (site,) = scan([top], ALL_LOAD).sites
    assert site.error is not None
    assert "not a file" in site.error.problem


def test_an_unreadable_directory_is_named_and_the_rest_of_its_pack_scanned(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Refused by a substitute for scandir, since permissions do not stop the super-user that runs many a test.
    top = plant({"pack/locked/comfy-env.toml": GOOD, "pack/open/comfy-env.toml": GOOD})
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = scan([top], ALL_LOAD)
    assert ids(found) == ["pack/open"]
    assert found.skipped == (Skipped("pack/locked", "cannot be read: Permission denied"),)


def test_sites_are_found_at_the_top_and_at_any_depth(plant: Plant) -> None:
    top = plant(
        {
            "geometry/comfy-env.toml": GOOD,
            "geometry/nodes/mesh/comfy-env.toml": GOOD,
            "geometry/nodes/mesh/deep/er/comfy-env.toml": GOOD,
            "plain/__init__.py": "",
            "single_file.py": "",
        }
    )
    found = scan([top], ALL_LOAD)
    assert ids(found) == ["geometry", "geometry/nodes/mesh", "geometry/nodes/mesh/deep/er"]
    assert [site.is_root for site in found.sites] == [True, False, False]
    assert [pack.name for pack in found.packs] == ["geometry", "plain"]
    assert found.sites[1].directory == top / "geometry" / "nodes" / "mesh"
    assert found.sites[1].config_path == top / "geometry" / "nodes" / "mesh" / "comfy-env.toml"
    assert found.skipped == ()
    assert found.duration_s > 0


def test_nested_sites_are_those_inside_a_site(plant: Plant) -> None:
    top = plant({f"p/{name}comfy-env.toml": GOOD for name in ("", "a/", "a/b/", "ab/")})
    found = scan([top], ALL_LOAD)
    sites: dict[str, Site] = {site.id: site for site in found.sites}
    assert found.nested(sites["p/a"]) == (top / "p/a/b",)
    assert found.nested(sites["p"]) == (top / "p/a", top / "p/a/b", top / "p/ab")


FORBIDDEN = (
    *("node_modules", ".git", "__pycache__", ".hidden", ".pixi", "site-packages", "_env_1a2b3c4d"),
    *("python_embeded", "python_embedded"),
)


def test_forbidden_directories_are_never_opened(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"pack/{place}{name}/comfy-env.toml": GOOD for name in FORBIDDEN for place in ("", "nodes/")}
    top = plant({**files, "pack/nodes/comfy-env.toml": GOOD})
    opened: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> object:
        opened.append(os.path.relpath(path, top))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    assert ids(scan([top], ALL_LOAD)) == ["pack/nodes"]
    assert sorted(opened) == [".", "pack", os.path.join("pack", "nodes")]


@pytest.mark.parametrize("mark", ["venv/pyvenv.cfg", "venv/conda-meta/history"])
def test_an_environment_is_known_by_what_it_holds(plant: Plant, mark: str) -> None:
    top = plant(
        {
            f"pack/{mark}": "",
            "pack/venv/comfy-env.toml": GOOD,
            "pack/venv/lib/comfy-env.toml": GOOD,
            "pack/b/comfy-env.toml": GOOD,
        }
    )
    assert ids(scan([top], ALL_LOAD)) == ["pack/b"]


def test_top_level_directories_that_are_no_packs_are_named(plant: Plant) -> None:
    top = plant(
        {
            ".venv/comfy-env.toml": GOOD,
            "env/pyvenv.cfg": "",
            "env/comfy-env.toml": GOOD,
            "manager/comfy_env_core/__init__.py": "",
            "manager/tests/packs/sample/comfy-env.toml": GOOD,
            "__pycache__/comfy-env.toml": GOOD,
        }
    )
    found = scan([top], ALL_LOAD)
    assert found.packs == ()
    assert found.sites == ()
    assert {skipped.name: skipped.reason for skipped in found.skipped} == {
        ".venv": "its name is that of a hidden directory, an environment or a cache",
        "env": "it is a Python environment, not a pack",
        "manager": "it is comfy-env manager itself",
    }


def test_what_the_host_skips_is_skipped_and_named(plant: Plant) -> None:
    top = plant({f"{name}/comfy-env.toml": GOOD for name in ("kept", "old.disabled", "other")})
    found = scan([top], host_skips(disable_all=True, whitelist=["kept"]))
    assert ids(found) == ["kept"]
    reasons = {skipped.name: skipped.reason for skipped in found.skipped}
    assert "--disable-all-custom-nodes" in reasons["other"]
    assert ".disabled" in reasons["old.disabled"]


def test_without_the_switch_only_disabled_names_are_skipped() -> None:
    skip = host_skips(disable_all=False, whitelist=["x"])
    assert skip(Path("custom_nodes/pack")) is None
    assert skip(Path("custom_nodes/pack.disabled")) is not None


@needs_symlinks
def test_a_linked_pack_keeps_its_place_in_custom_nodes(plant: Plant, tmp_path: Path) -> None:
    top = plant({"other/__init__.py": ""})
    real = tmp_path / "checkouts" / "real"
    (real / "nodes").mkdir(parents=True)
    (real / "nodes" / "comfy-env.toml").write_text(GOOD)
    (top / "linked").symlink_to(real, target_is_directory=True)
    (site,) = scan([top], ALL_LOAD).sites
    assert site.id == "linked/nodes"
    assert site.pack.path == top / "linked"
    assert site.directory == top / "linked" / "nodes"


@needs_symlinks
def test_links_inside_a_pack_are_not_followed(plant: Plant, tmp_path: Path) -> None:
    top = plant({"pack/nodes/comfy-env.toml": GOOD})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "comfy-env.toml").write_text(GOOD)
    (top / "pack" / "outside").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (top / "pack" / "nodes" / "round").symlink_to(top / "pack", target_is_directory=True)
    assert ids(scan([top], ALL_LOAD)) == ["pack/nodes"]


@needs_symlinks
def test_a_linked_configuration_is_read(plant: Plant, tmp_path: Path) -> None:
    top = plant({"pack/__init__.py": ""})
    (tmp_path / "shared.toml").write_text(GOOD)
    (top / "pack" / "comfy-env.toml").symlink_to(tmp_path / "shared.toml")
    (top / "pack" / "comfy-env-root.toml").symlink_to(tmp_path / "gone.toml")
    found = scan([top], ALL_LOAD)
    assert found.sites[0].spec is not None
    assert "gone" in found.root_errors["pack"].problem


def test_packs_of_one_name_in_two_directories_have_two_names(tmp_path: Path) -> None:
    for base in ("first", "second"):
        (tmp_path / base / "pack").mkdir(parents=True)
        (tmp_path / base / "pack" / "comfy-env.toml").write_text(GOOD)
    found = scan([tmp_path / "first", tmp_path / "second", tmp_path / "first"], ALL_LOAD)
    assert ids(found) == ["pack", "pack~2"]
    assert [pack.path for pack in found.packs] == [tmp_path / "first" / "pack", tmp_path / "second" / "pack"]
