"""The lock that a pack ships beside its file, as planning sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.lock_file import lock_text
from comfy_env_core.building.locks.model import Lock, LockedEnvironment, meaning_of
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import HostNeed
from comfy_env_core.discovery import Site, host_skips, scan
from comfy_env_core.sites.planning import Planner


@pytest.fixture
def site(tmp_path: Path) -> Site:
    nodes = tmp_path / "custom_nodes/mesh/nodes"
    nodes.mkdir(parents=True)
    (nodes / "comfy-env.toml").write_text('python = "3.11"\n[pypi-dependencies]\ntrimesh = "*"\n')
    (nodes / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    (found,) = scan([tmp_path / "custom_nodes"], host_skips(disable_all=False, whitelist=())).sites
    return found


@pytest.fixture
def planner() -> Planner:
    return Planner(None, UserSettings, os.environ)


def ship(site: Site, meaning: str | None = None, python: str = "3.11") -> Path:
    assert site.spec is not None
    path = site.config_path.with_name(LOCK_NAME)
    environment = LockedEnvironment(Platform.current().name, python, {}, (), (), (), ())
    path.write_text(lock_text(Lock(path, meaning or meaning_of(site.spec), (environment,))))
    return path


def test_a_damaged_lock_fails_the_site_with_file_and_line(site: Site, planner: Planner) -> None:
    path = ship(site)
    path.write_text(path.read_text().replace('python = "3.11"', "python = 3.11"))
    with pytest.raises(BuildError) as raised:
        planner.plan(site, ())
    assert raised.value.cause is BuildCause.CONFIG
    assert f"{path}, line 7" in str(raised.value)
    assert "python -m comfy_env_core lock" in str(raised.value)


def test_a_stale_lock_is_said_on_the_plan(site: Site, planner: Planner) -> None:
    """Who builds says it aloud; who looks does not."""
    ship(site, meaning="0" * 64)
    plan = planner.plan(site, ())
    assert plan.lock is None
    assert plan.unused_lock is not None and plan.unused_lock in plan.notes
    assert "comfy-env.lock is not used" in plan.unused_lock


def test_a_lock_that_comes_or_goes_asks_for_another_environment(site: Site, planner: Planner) -> None:
    without, key = planner.plan(site, ()), planner.plan_key(site, "", HostNeed.NONE)
    path = ship(site)
    locked = planner.plan(site, ())
    assert locked.lock is not None
    assert locked.environment_id != without.environment_id
    assert planner.plan_key(site, "", HostNeed.NONE) != key
    path.unlink()
    assert planner.plan(site, ()).environment_id == without.environment_id
    assert planner.plan_key(site, "", HostNeed.NONE) == key
