"""The store on disk: places, atomic files, records."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.environments.atomic import remove_trash, remove_tree, write_atomically
from comfy_env_core.environments.meta import DamagedMeta, Meta, MetaPackage, read_meta, write_meta
from comfy_env_core.environments.store import Store

META = Meta(
    environment_id="0123abcd",
    engine="pixi",
    engine_version="0.77.0",
    python_version="3.10.13",
    packages=(MetaPackage("numpy", "2.4.1", "pypi"),),
    config_path="/packs/mesh/comfy-env.toml",
    facts=("platform=linux-64",),
    built_at="2026-01-01T00:00:00+00:00",
    duration_s=12.5,
    manager_version="0.1.0",
)


@pytest.mark.parametrize("text", ["", "..", "0123ABCD", "0123abc", "0123abcde", "../../ab", "0123abc/"])
def test_an_id_that_is_none_never_becomes_a_path(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="8 hex digits"):
        Store(tmp_path).environment(text)


def test_looking_at_a_store_creates_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    environment = store.environment("0123abcd")
    assert (environment.current(), environment.previous(), environment.generations()) == (None, None, ())
    assert list(store.environments()) == []
    assert not store.root.exists()


def test_the_root_is_the_users_choice_else_a_short_path_in_his_home(tmp_path: Path) -> None:
    assert Store.default({"COMFY_ENV_ROOT": str(tmp_path)}).root == tmp_path
    assert Store.default({"COMFY_ENV_ROOT": "~/x"}).root == Path.home() / "x"
    default = Path("C:/ce") if sys.platform == "win32" else Path.home() / ".ce"
    assert Store.default({}).root == Store.default({"COMFY_ENV_ROOT": " "}).root == default


def test_environments_are_the_directories_of_ids_without_links_and_trash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    environment = store.environment("0123abcd")
    environment.directory.mkdir()
    for name in ("._env_0123abce.deadbeef.trash", "cache", "_env_mine"):
        (tmp_path / name).mkdir()
    if sys.platform != "win32":
        (tmp_path / "_env_0123abcf").symlink_to(environment.directory)
    assert list(store.environments()) == [environment]
    assert environment.id == environment.generation(7).environment_id == "0123abcd"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "meta.json"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text is not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["meta.json"]


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    code = (
        "import sys,itertools; from pathlib import Path\n"
        "from comfy_env_core.environments.atomic import write_atomically\n"
        "print('ready', flush=True)\n"
        "for i in itertools.count(): write_atomically(Path(sys.argv[1]), bytes([i % 256]) * 100_000)"
    )
    path = tmp_path / "file"
    root = Path(__file__).resolve().parents[2]
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=root, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.communicate()
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 100_000
            assert len(set(content)) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_private_file_is_private_from_its_first_moment_to_its_last(tmp_path: Path) -> None:
    write_atomically(tmp_path / "pixi.toml", b"", mode=0o600)
    assert (tmp_path / "pixi.toml").stat().st_mode & 0o777 == 0o600


def test_a_tree_with_read_only_parts_is_removed_and_a_link_in_it_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "file").write_text("")
    (tree / "inner" / "file").chmod(0o400)
    if sys.platform != "win32":
        (tree / "link").symlink_to(outside)
        (tree / "inner").chmod(0o500)
    remove_tree(tree)
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert (outside / "kept").exists()
    remove_tree(tree)


def test_what_an_interrupted_removal_left_is_found_later(tmp_path: Path) -> None:
    (tmp_path / ".tree.0badcafe.trash" / "inner").mkdir(parents=True)
    (tmp_path / "tree").mkdir()
    remove_trash(tmp_path)
    assert os.listdir(tmp_path) == ["tree"]


def test_a_record_reads_back_the_same(tmp_path: Path) -> None:
    write_meta(tmp_path / "meta.json", META)
    assert read_meta(tmp_path / "meta.json") == META


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "\xff",
        '{"packages": 1}',
        '{"packages": [{"name": 1}]}',
        '{"packages": [], "facts": 3}',
    ],
)
def test_a_damaged_record_is_called_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "meta.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedMeta, match="Reading the build record"):
        read_meta(tmp_path / "meta.json")


def test_a_record_with_a_wrong_type_is_called_damaged_and_the_field_is_named(tmp_path: Path) -> None:
    write_meta(tmp_path / "meta.json", dataclasses.replace(META, engine=3))  # type: ignore[arg-type]
    with pytest.raises(DamagedMeta, match="engine"):
        read_meta(tmp_path / "meta.json")


def test_a_missing_record_is_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedMeta):
        Store(tmp_path).environment("0123abcd").generation(1).read_meta()
