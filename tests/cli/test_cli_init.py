"""`init`: what is guessed of a pack, and what is never overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.cli import exit_codes, program
from comfy_env_core.config import EnvSpec, parse_env


def written(directory: Path) -> EnvSpec:
    path = directory / "comfy-env.toml"
    return parse_env(path.read_bytes(), path)


def init(*arguments: object) -> int:
    return program.main(["init", *map(str, arguments)])


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    directory = tmp_path / "custom_nodes" / "mesh"
    directory.mkdir(parents=True)
    return directory


def test_a_file_that_is_there_is_left_alone(pack: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pack / "comfy-env.toml").write_text("# mine\n")
    assert init(pack) == exit_codes.FAILED
    assert (pack / "comfy-env.toml").read_text() == "# mine\n" and "not overwritten" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere"], exit_codes.NOT_FOUND),
        (["."], exit_codes.USAGE),
        (["mesh", "--isolated", "a/b"], exit_codes.USAGE),
    ],
)
def test_a_place_that_cannot_hold_it_is_refused(
    pack: Path, arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pack.parent)
    assert init(*arguments) == code
    assert list(pack.iterdir()) == []


def test_packages_come_from_requirements_and_from_imports(pack: Path) -> None:
    (pack / "requirements.txt").write_text(
        "torch\nnumpy>=1.26,<3  # arrays\ntrimesh[easy]>=4; sys_platform == 'win32'\n-r other.txt\n"
        "--extra-index-url https://example.org/simple\nnaïve line\n",
        encoding="utf-8",
    )
    (pack / "__init__.py").write_text(
        "import os, numpy, cv2, folder_paths, torch\nfrom .shapes import x\nfrom PIL import Image\n"
        "try:\n    import open3d\nexcept ImportError:\n    open3d = None\n"
    )
    (pack / "shapes.py").write_text("import helpers\nx = 1\n")
    (pack / "helpers.py").write_text("")
    (pack / "tests").mkdir()
    (pack / "tests" / "test_x.py").write_text("import hypothesis\n")
    assert init(pack) == 0
    spec = written(pack)
    assert dict(spec.pypi_dependencies) == {"numpy": ">=1.26,<3", "opencv-python": "*", "pillow": "*"}
    windows = spec.passthrough["target"]["win"]["pypi-dependencies"]
    assert windows == {"trimesh": {"version": ">=4", "extras": ["easy"]}}
    assert spec.passthrough["pypi-options"] == {"extra-index-urls": ["https://example.org/simple"]}
    text = (pack / "comfy-env.toml").read_text("utf-8")
    assert '# open3d = "*"' in text and "-r other.txt" in text and "na" in text
    assert spec.warnings == ()


def test_printing_writes_nothing(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(pack, "--print") == 0
    assert "[pypi-dependencies]" in capsys.readouterr().out and list(pack.iterdir()) == []


def test_one_folder_is_isolated_with_a_node_to_begin_with(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pack / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    assert init(pack, "--isolated", "remesh") == 0
    assert written(pack / "remesh").is_environment
    assert "NODE_CLASS_MAPPINGS" in (pack / "remesh" / "__init__.py").read_text()
    assert (pack / "__init__.py").read_text() == "NODE_CLASS_MAPPINGS = {}\n"
    assert "from .remesh import" in capsys.readouterr().out  # what is left for the author to write


def test_an_isolated_folder_of_an_empty_pack_is_built_and_its_node_found(terminal: Any, pack: Path) -> None:
    assert init(pack, "--isolated") == 0
    outcome = terminal.run("build", "mesh")
    assert outcome.returncode == 0, outcome.stderr
    assert "mesh/isolated: ready, 1 node" in outcome.stderr
