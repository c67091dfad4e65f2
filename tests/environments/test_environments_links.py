"""Links from packs to environments: right, replaced, or left out with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comfy_env_core.environments.links import link
from comfy_env_core.environments.store import Environment, Store


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    made = Store(tmp_path / "store").environment("0123abcd")
    made.directory.mkdir(parents=True)
    (made.directory / "install.log").write_text("log")
    return made


@pytest.fixture
def site(tmp_path: Path) -> Path:
    directory = tmp_path / "packs" / "mesh pack"
    directory.mkdir(parents=True)
    return directory


def test_a_real_directory_of_that_name_is_never_touched(site: Path, environment: Environment) -> None:
    real = site / "_env_0123abcd"
    real.mkdir()
    (real / "precious").write_text("")
    reason = link(site, environment)
    assert reason is not None
    assert "not a link" in reason
    assert (real / "precious").exists()
    assert not real.is_symlink()


def test_a_site_that_is_gone_gives_a_reason_and_no_exception(
    tmp_path: Path, environment: Environment
) -> None:
    reason = link(tmp_path / "gone", environment)
    assert reason is not None
    assert "No such file" in reason or "cannot find" in reason


def test_a_read_only_pack_gives_a_reason_and_no_exception(site: Path, environment: Environment) -> None:
    if sys.platform == "win32":
        pytest.skip("SKIPPED LOUDLY: modes of POSIX")
    if os.geteuid() == 0:
        if (
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(site)], check=False).returncode
            != 0
        ):
            pytest.skip("SKIPPED LOUDLY: root may write everywhere, and mounting is not permitted")
        try:
            reason = link(site, environment)
        finally:
            subprocess.run(["umount", str(site)], check=True)
    else:
        site.chmod(0o500)
        reason = link(site, environment)
    assert reason is not None
    assert "The nodes run without it" in reason


def test_the_link_leads_to_the_environment_and_asking_again_changes_nothing(
    site: Path, environment: Environment
) -> None:
    assert link(site, environment) is None
    place = site / "_env_0123abcd"
    assert (place / "install.log").read_text() == "log"
    before = os.lstat(place).st_mtime_ns
    assert link(site, environment) is None
    assert os.lstat(place).st_mtime_ns == before


def test_a_link_that_leads_elsewhere_or_nowhere_is_replaced(
    site: Path, environment: Environment, tmp_path: Path
) -> None:
    place = site / "_env_0123abcd"
    elsewhere = Store(tmp_path / "old store").environment("0123abcd")
    elsewhere.directory.mkdir(parents=True)
    assert link(site, elsewhere) is None
    assert link(site, environment) is None
    assert place.resolve() == environment.directory.resolve()
    assert elsewhere.directory.exists()
    assert link(site, elsewhere) is None
    elsewhere.directory.rmdir()
    assert link(site, environment) is None
    assert place.resolve() == environment.directory.resolve()


def test_links_to_earlier_environments_go_and_everything_else_stays(
    site: Path, environment: Environment, tmp_path: Path
) -> None:
    older = Store(environment.directory.parent).environment("aaaaaaaa")
    older.directory.mkdir()
    assert link(site, older) is None
    (site / "_env_real").mkdir()
    foreign = Store(tmp_path / "foreign").environment("bbbbbbbb")
    foreign.directory.mkdir(parents=True)
    if sys.platform != "win32":
        (site / foreign.directory.name).symlink_to(foreign.directory)
    assert link(site, environment) is None
    names = {path.name for path in site.iterdir()}
    assert "_env_aaaaaaaa" not in names
    assert older.directory.exists()
    assert names >= {"_env_real", "_env_0123abcd"}
    if sys.platform != "win32":
        assert "_env_bbbbbbbb" in names
