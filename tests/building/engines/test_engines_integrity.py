"""Whether a prefix was filled with what its packages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_env_core.building.engines.integrity import damaged_distributions

LISTED = "tiny.py,sha256=0,3\ntiny-1.dist-info/METADATA,sha256=0,4\ntiny-1.dist-info/RECORD,,\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where uv installed one package."""
    site = tmp_path / "lib" / "python3.12" / "site-packages"
    info = site / "tiny-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name")
    (info / "INSTALLER").write_text("uv")
    (info / "RECORD").write_text(LISTED)
    (site / "tiny.py").write_text("a=1")
    return site


def test_a_file_of_another_size_is_damage(site: Path, tmp_path: Path) -> None:
    assert damaged_distributions(tmp_path) == ()
    (site / "tiny.py").write_text("a")
    assert damaged_distributions(tmp_path) == ("tiny",)


@pytest.mark.parametrize("left", ["", "tiny.py,sha256=0,3\n", None])
def test_a_list_of_files_that_lost_its_end_is_damage(site: Path, tmp_path: Path, left: str | None) -> None:
    """uv installs from a wheel that was unpacked so: nothing of it would be looked at, nor imported."""
    record = site / "tiny-1.dist-info" / "RECORD"
    record.unlink()
    if left is not None:
        record.write_text(left)
    assert damaged_distributions(tmp_path) == ("tiny",)


def test_what_others_installed_may_list_nothing(site: Path, tmp_path: Path) -> None:
    (site / "tiny-1.dist-info" / "INSTALLER").write_text("conda")
    (site / "tiny-1.dist-info" / "RECORD").write_text("")
    assert damaged_distributions(tmp_path) == ()
