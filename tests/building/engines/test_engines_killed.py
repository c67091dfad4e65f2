"""A short part of `nox -s chaos`: real builds of a small pack, killed, and what a normal start makes of them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from building.engines.offline_channel import served
from chaos.killing import Build, kill_again_and_again
from chaos.machine import Machine, Pack, make_machine
from effort import Effort

from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.user_settings import DEFAULT_INDEX_URL, UserSettings

SMALL = Pack(
    config='python = "{minor}"\n[dependencies]\ntinylib = "*"\n',
    nodes="import tinylib\nNODE_CLASS_MAPPINGS = {}\n",
    imports="import msgpack, ssl, tinylib",
)
OWN = {"HOME", "PYTHONPATH", "PIP_CONFIG_FILE", "PIP_INDEX_URL"}

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the offline channel is a Linux one"
)


@pytest.fixture
def machine(
    channel: tuple[Path, str], engine_tools: EngineTools, user_settings: UserSettings, tmp_path: Path
) -> Iterator[Machine]:
    minor = ".".join(channel[1].split(".")[:2])
    index_url = (user_settings.index_url or DEFAULT_INDEX_URL).rstrip("/").removesuffix("/simple")
    # What the index here needs: its certificates, a proxy.
    theirs = {name: value for name, value in user_settings.environ.items() if name not in OWN}
    with served(channel[0]) as channel_url:
        machine = make_machine(
            tmp_path,
            store=tmp_path / "store",
            minor=minor,
            channel_url=channel_url,
            index_url=index_url,
            environ=theirs,
            pack=SMALL,
        )
        shutil.copytree(engine_tools.directory, machine.store.engines_dir / engine_tools.directory.name)
        yield machine
        machine.assert_quiet()


@pytest.mark.parametrize(("is_rebuild", "kills"), [(False, 3), (True, 2)], ids=["first build", "rebuild"])
def test_a_build_killed_at_some_moment_is_ready_after_a_normal_start(
    machine: Machine, is_rebuild: bool, kills: int, effort: Effort
) -> None:
    machine.start()
    build = Build(is_rebuild, is_cold=False)
    outcome = kill_again_and_again(machine, build, kills, effort.chance(str(build)))
    assert not outcome.problems, "\n\n".join(outcome.problems)
    assert outcome.killed == kills
