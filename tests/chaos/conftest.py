"""Machines to do harm to: their channel, index and engine's packages are made once and come over loopback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from building.engines.conftest import (  # noqa: F401 – fixtures
    channel,
    engine_tools,
    interpreters,
    other_python,
    shared_store,
    user_settings,
)
from building.engines.offline_channel import served
from building.faulty_servers import http_server
from chaos.machine import Machine, make_machine
from chaos.wheel_index import WheelIndex

from comfy_env_core.building.engines.engine_packages import EngineTools

MakeMachine = Callable[..., Machine]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="the offline channel is a Linux one")
    for item in items:
        if not sys.platform.startswith("linux"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def minor(channel: tuple[Path, str]) -> str:  # noqa: F811
    return ".".join(channel[1].split(".")[:2])


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, minor: str) -> Path:
    """Real wheels for the channel's Python; skips where no index answers."""
    directory = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    command += ["--python-version", minor, "-d", str(directory), "numpy", "pillow", "msgpack"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        pytest.skip(f"SKIPPED LOUDLY: the wheels cannot be had: {ended.stderr[-500:]}")
    return directory


@pytest.fixture
def index(wheels: Path) -> WheelIndex:
    return WheelIndex(wheels)


@pytest.fixture
def make(
    channel: tuple[Path, str],  # noqa: F811
    engine_tools: EngineTools,  # noqa: F811
    minor: str,
    index: WheelIndex,
    tmp_path: Path,
) -> Iterator[MakeMachine]:
    """`make(**environ)`: a machine on which nothing was built yet; `store` is another place for its store."""
    made: list[Machine] = []
    with served(channel[0]) as channel_url, http_server(index.handle) as index_url:

        def make(store: Path | None = None, **environ: str) -> Machine:
            directory = tmp_path / f"machine-{len(made)}"
            machine = make_machine(
                directory,
                store=store or directory / "store",
                minor=minor,
                channel_url=channel_url,
                index_url=index_url,
                environ=environ,
            )
            shutil.copytree(engine_tools.directory, machine.store.engines_dir / engine_tools.directory.name)
            made.append(machine)
            return machine

        yield make
        index.mend()
        for machine in made:
            machine.assert_quiet()
            shutil.rmtree(machine.directory, ignore_errors=True)


@pytest.fixture
def machine(make: MakeMachine) -> Machine:
    return make()
