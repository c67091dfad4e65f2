"""Fixtures of the engines: one store for the whole run, so that uv and rattler are fetched once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from building.engines.offline_channel import (
    SUBDIR,
    NotRepackable,
    index_channel,
    repack_python,
    served,
    write_tiny_packages,
)

from comfy_env_core.building.engines.engine_packages import EngineTools, ensure_engine_packages
from comfy_env_core.building.engines.interpreters import Interpreter, Interpreters
from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store


@pytest.fixture(scope="session")
def user_settings() -> UserSettings:
    """The real settings of whoever runs the tests: the index that is reachable here stands there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COMFY_ENV_")}
    return UserSettings.gather(environ, Path.home())


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def engine_tools(shared_store: Store, user_settings: UserSettings) -> EngineTools:
    """rattler and uv, installed as a user gets them; skips where no package index answers."""
    try:
        return ensure_engine_packages(shared_store, user_settings, QuietReport())
    except BuildError as error:
        pytest.skip(f"the embedded engine's packages cannot be had here: {error}")


@pytest.fixture(scope="session")
def interpreters(shared_store: Store, user_settings: UserSettings) -> Interpreters:
    return Interpreters(user_settings, shared_store.root / "pythons")


@pytest.fixture(scope="session")
def other_python(interpreters: Interpreters) -> Interpreter:
    """An interpreter of another minor version than the one that runs the tests; skips where there is none."""
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found, tried = interpreters.find(PythonWanted(f">=3.9,!={mine}.*"))
    if found is None:
        pytest.skip(f"no Python but {mine} on this machine; looked at {', '.join(tried)}")
    return found


@pytest.fixture(scope="session")
def channel(
    tmp_path_factory: pytest.TempPathFactory, engine_tools: EngineTools, other_python: Interpreter
) -> tuple[Path, str]:
    """A directory with the channel "conda-forge", and the version of the Python in it."""
    if not SUBDIR or not sys.platform.startswith("linux"):
        pytest.skip("the offline channel repacks a Linux CPython")
    root = tmp_path_factory.mktemp("channels")
    try:
        version = repack_python(root / "conda-forge", other_python.path)
    except NotRepackable as error:
        pytest.skip(f"{other_python.path} cannot be repacked: {error}")
    write_tiny_packages(root / "conda-forge")
    index_channel(root / "conda-forge", engine_tools.directory)
    return root, version


@pytest.fixture
def channel_settings(
    channel: tuple[Path, str], tmp_path: Path, user_settings: UserSettings
) -> Iterator[UserSettings]:
    """The user's settings on a machine whose pixi configuration names a mirror of conda-forge."""
    home = tmp_path / "home"
    (home / ".pixi").mkdir(parents=True)
    with served(channel[0]) as url:
        mirrors = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{url}/conda-forge"]\n'
        (home / ".pixi" / "config.toml").write_text(mirrors, encoding="utf-8")
        environ = {**user_settings.environ, "HOME": str(home), "PIP_CONFIG_FILE": os.devnull}
        if user_settings.index_url:
            environ["PIP_INDEX_URL"] = user_settings.index_url
        yield UserSettings.gather(environ, home)
