"""Files by which somebody meant to isolate something are told when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_env_core.discovery import host_skips, scan


def mistakes(custom_nodes: Path) -> dict[str, str]:
    """What is amiss, by path below `custom_nodes`."""
    found = scan([custom_nodes], host_skips(False, ()))
    return {each.path.relative_to(custom_nodes).as_posix(): str(each) for each in found.mistakes}


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


@pytest.mark.parametrize("name", ["comfy-env.toml", "comfy-env-root.toml", "foo.comfy-env.toml"])
def test_a_file_beside_the_packs_isolates_none_and_says_so(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "foo.py", "pack/__init__.py")
    assert scan([tmp_path], host_skips(False, ())).sites == ()
    told = mistakes(tmp_path)
    assert list(told) == [name]
    assert "isolates none of them. Move it into the folder of the pack" in told[name]
    assert "as '__init__.py'" in told[name]


@pytest.mark.parametrize("name", ["comfyui_env.toml", "nodes/comfy-env.toml.txt", "nodes/gpu/comfy_env.toml"])
def test_a_file_whose_name_is_nearly_right_is_not_read_and_says_so(tmp_path: Path, name: str) -> None:
    write(tmp_path / "pack", name)
    told = mistakes(tmp_path)
    assert list(told) == [f"pack/{name}"]
    assert (
        "a file of this name is not read. If it is meant to be, rename it to 'comfy-env.toml'."
        in told[f"pack/{name}"]
    )


def test_a_file_below_a_pack_isolated_as_a_whole_is_told(tmp_path: Path) -> None:
    write(tmp_path / "pack", "comfy-env.toml", "nodes/gpu/comfy-env.toml")
    told = mistakes(tmp_path)
    assert list(told) == ["pack/nodes/gpu/comfy-env.toml"]
    assert "Remove one of the two files" in told["pack/nodes/gpu/comfy-env.toml"]


def test_usual_files_are_no_mistakes(tmp_path: Path) -> None:
    write(
        tmp_path / "pack",
        "comfy-env-root.toml",
        "nodes/a/comfy-env.toml",
        "nodes/b/comfy-env.toml",
        "pyproject.toml",
    )
    write(tmp_path, "single.py", "example.py.example")
    assert mistakes(tmp_path) == {}
