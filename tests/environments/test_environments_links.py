"""Links from packs to environments: right, replaced, or left out with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.environments.links import link
from comfy_env_core.environments.store import Store, Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Store(tmp_path / "store").workspace("0123abcd")
    made.directory.mkdir(parents=True)
    (made.directory / "install.log").write_text("log")
    return made


@pytest.fixture
def site(tmp_path: Path) -> Path:
    directory = tmp_path / "packs" / "mesh pack"
    directory.mkdir(parents=True)
    return directory


def test_a_real_directory_of_that_name_is_never_touched(site: Path, workspace: Workspace) -> None:
    real = site / "_env_0123abcd"
    real.mkdir()
    (real / "precious").write_text("")
    reason = link(site, workspace)
    assert reason is not None
    assert "not a link" in reason
    assert (real / "precious").exists()
    assert not real.is_symlink()


def test_a_site_that_is_gone_gives_a_reason_and_no_exception(tmp_path: Path, workspace: Workspace) -> None:
    reason = link(tmp_path / "gone", workspace)
    assert reason is not None
    assert "No such file" in reason or "cannot find" in reason


def test_a_read_only_pack_gives_a_reason_and_no_exception(site: Path, workspace: Workspace) -> None:
    if sys.platform == "win32":
        pytest.skip("SKIPPED LOUDLY: modes of POSIX")
    if os.geteuid() == 0:
        if (
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(site)], check=False).returncode
            != 0
        ):
            pytest.skip("SKIPPED LOUDLY: root may write everywhere, and mounting is not permitted")
        try:
            reason = link(site, workspace)
        finally:
            subprocess.run(["umount", str(site)], check=True)
    else:
        site.chmod(0o500)
        reason = link(site, workspace)
    assert reason is not None
    assert "The nodes run without it" in reason


def test_the_link_leads_to_the_workspace_and_asking_again_changes_nothing(
    site: Path, workspace: Workspace
) -> None:
    assert link(site, workspace) is None
    place = site / "_env_0123abcd"
    assert (place / "install.log").read_text() == "log"
    before = os.lstat(place).st_mtime_ns
    assert link(site, workspace) is None
    assert os.lstat(place).st_mtime_ns == before


def test_a_link_that_leads_elsewhere_or_nowhere_is_replaced(
    site: Path, workspace: Workspace, tmp_path: Path
) -> None:
    place = site / "_env_0123abcd"
    elsewhere = Store(tmp_path / "old store").workspace("0123abcd")
    elsewhere.directory.mkdir(parents=True)
    assert link(site, elsewhere) is None
    assert link(site, workspace) is None
    assert place.resolve() == workspace.directory.resolve()
    assert elsewhere.directory.exists()
    assert link(site, elsewhere) is None
    elsewhere.directory.rmdir()
    assert link(site, workspace) is None
    assert place.resolve() == workspace.directory.resolve()


def test_links_to_earlier_environments_go_and_everything_else_stays(
    site: Path, workspace: Workspace, tmp_path: Path
) -> None:
    older = Store(workspace.directory.parent).workspace("aaaaaaaa")
    older.directory.mkdir()
    assert link(site, older) is None
    (site / "_env_real").mkdir()
    foreign = Store(tmp_path / "foreign").workspace("bbbbbbbb")
    foreign.directory.mkdir(parents=True)
    if sys.platform != "win32":
        (site / foreign.directory.name).symlink_to(foreign.directory)
    assert link(site, workspace) is None
    names = {path.name for path in site.iterdir()}
    assert "_env_aaaaaaaa" not in names
    assert older.directory.exists()
    assert names >= {"_env_real", "_env_0123abcd"}
    if sys.platform != "win32":
        assert "_env_bbbbbbbb" in names
