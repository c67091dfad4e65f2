"""A disk that is too small is told before anything is downloaded, with what is there and what is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from comfy_env_core.building import disk_space
from comfy_env_core.building.disk_space import bytes_to_download, check_before, check_downloads
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.environments.environment import Environment

LOCK = """
[[packages]]
name = "large"
wheels = [{ url = "http://h/a.whl", size = 3000000000 }, { url = "http://h/b.whl", size = 2147483648 }]
[[packages]]
name = "silent"
wheels = [{ url = "http://h/c.whl" }]
[[packages]]
name = "source"
sdist = { url = "http://h/d.tar.gz", size = 5 }
"""


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 GB is left."""
    usage = shutil.disk_usage(".")._replace(free=10**9)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: usage)


@pytest.mark.usefixtures("free")
def test_downloads_that_do_not_fit_are_not_begun(tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(LOCK)
    with pytest.raises(BuildError, match=r"has 1\.0 GB left; the packages to download are 2\.1 GB") as raised:
        check_downloads(lock, frozenset())
    assert raised.value.cause is BuildCause.DISK_FULL
    check_downloads(lock, frozenset({"large"}))
    assert bytes_to_download(lock, frozenset()) == 2147483648


@pytest.mark.usefixtures("free")
def test_a_rebuild_is_measured_by_what_the_present_build_takes_for_itself(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "_env_00000000")
    workspace = environment.begin_generation()
    check_before(environment)
    (workspace.directory / "own").write_bytes(b"x")
    workspace.done_path.touch()
    environment.switch_to(workspace)
    check_before(environment)
    with open(workspace.directory / "large", "wb") as file:
        file.write(b"x" * 2**20)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        usage = shutil.disk_usage(".")._replace(free=2**19)
        patch.setattr(disk_space.shutil, "disk_usage", lambda path: usage)
        patch.setattr(disk_space, "MIN_FREE_BYTES", 0)
        with pytest.raises(BuildError, match=r"the present build of this environment takes 1\.[01] MB"):
            check_before(environment)
