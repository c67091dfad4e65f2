"""Bytecode that one environment's import test made serves the next one that is filled from the same cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.building.bytecode import share_bytecode

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache in which uv unpacked one wheel."""
    wheel = tmp_path / "cache" / "uv" / "archive-v0" / "abc"
    for name, text in {
        "tiny/__init__.py": "from tiny import other",
        "tiny/other.py": "",
        "tiny-1.dist-info/METADATA": "",
    }.items():
        (wheel / name).parent.mkdir(parents=True, exist_ok=True)
        (wheel / name).write_text(text)
    return tmp_path / "cache"


def install(cache: Path, prefix: Path) -> Path:
    """As uv does it: a hard link for every file of the wheel."""
    wheel = cache / "uv" / "archive-v0" / "abc"
    for path in wheel.rglob("*"):
        if path.is_file():
            place = prefix / SITE / path.relative_to(wheel)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
    return prefix / SITE


def import_it(site: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([sys.executable, "-c", "import tiny"], cwd=site, check=True, env=environ)


def compiled(site: Path) -> list[Path]:
    return sorted(site.rglob("*.pyc"))


def test_an_environment_filled_later_has_the_bytecode_of_the_first(cache: Path, tmp_path: Path) -> None:
    first = install(cache, tmp_path / "first")
    import_it(first)
    assert share_bytecode(tmp_path / "first", cache) == 2
    second = install(cache, tmp_path / "second")
    inodes = [path.stat().st_ino for path in compiled(second)]
    assert inodes == [path.stat().st_ino for path in compiled(first)]
    import_it(second)
    assert [path.stat().st_ino for path in compiled(second)] == inodes, "Python takes it and compiles nothing"
    assert share_bytecode(tmp_path / "second", cache) == 0


def test_a_module_that_is_another_file_shares_nothing(cache: Path, tmp_path: Path) -> None:
    """A copy, or one that somebody changed: the cache's own may be as long and as old."""
    first = install(cache, tmp_path / "first")
    (first / "tiny" / "other.py").unlink()
    (first / "tiny" / "other.py").write_text("")
    import_it(first)
    assert share_bytecode(tmp_path / "first", cache) == 1


def test_a_prefix_without_a_cache_shares_nothing(tmp_path: Path) -> None:
    assert share_bytecode(tmp_path / "nowhere", tmp_path / "cache") == 0
