"""The conda half of the embedded engine, against a channel made here and reached through a mirror of conda-forge."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from building.engines.samples import RecordingReport, index_of_needs, make_plan, serving

from comfy_env_core.building.engines.contract import Package
from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.engines.interpreters import Interpreters
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.atomic import remove_tree
from comfy_env_core.environments.store import Store, Workspace

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the offline channel is a Linux one"
)


@pytest.fixture
def workspace(shared_store: Store) -> Workspace:
    number = sum(1 for _ in shared_store.environments())
    return shared_store.environment(f"c{number:07x}").generation(1)


@pytest.fixture
def engine(engine_tools: EngineTools, shared_store: Store, channel_settings: UserSettings) -> EmbeddedEngine:
    return EmbeddedEngine(shared_store, channel_settings)


def text_for(version: str, conda: str = "", pypi: str = "") -> str:
    minor = ".".join(version.split(".")[:2])
    return f'python = "{minor}"\n[dependencies]\n{conda}\n[pypi-dependencies]\n{pypi}\n'


@pytest.mark.parametrize(
    ("conda", "pypi", "cause", "named"),
    [
        ('nobody-has-this = "*"', "", BuildCause.NO_SUCH_PACKAGE, "nobody-has-this"),
        ('tinylib = ">=3"', "", BuildCause.NO_SUCH_PACKAGE, "tinylib >=3"),
        ('conflict-a = "*"\ntinylib = ">=2"', "", BuildCause.CONFLICT, "not all together"),
        ('needs-nothing-known = "*"', "", BuildCause.CONFLICT, "not all together"),
        ('tinylib = "*"', 'tinylib = "<2"', BuildCause.CONFLICT, "tinylib 2.0"),
    ],
)
def test_what_the_channel_cannot_give_is_told_apart(
    engine: EmbeddedEngine,
    workspace: Workspace,
    channel: tuple[Path, str],
    tmp_path: Path,
    channel_settings: UserSettings,
    conda: str,
    pypi: str,
    cause: BuildCause,
    named: str,
) -> None:
    plan = make_plan(tmp_path, text_for(channel[1], conda, pypi), channel_settings)
    with pytest.raises(BuildError) as raised:
        engine.provision(plan, workspace, RecordingReport())
    assert raised.value.cause is cause, str(raised.value)
    assert named in str(raised.value)


def test_a_driver_that_is_killed_says_so(
    engine: EmbeddedEngine,
    workspace: Workspace,
    channel: tuple[Path, str],
    tmp_path: Path,
    channel_settings: UserSettings,
) -> None:
    plan = make_plan(tmp_path, text_for(channel[1], 'tinydata = "*"'), channel_settings)

    def kill_the_driver(report: RecordingReport) -> bool:
        for child in psutil.Process().children(recursive=True):
            if any("rattler_driver" in part for part in child.cmdline()):
                child.send_signal(signal.SIGKILL)
        return False

    with pytest.raises(BuildError) as raised:
        engine.provision(plan, workspace, RecordingReport(cancel_at=kill_the_driver))
    assert raised.value.cause is BuildCause.KILLED


def test_a_python_that_the_mirror_lacks_comes_from_this_machine_if_nothing_else_is_wanted(
    engine: EmbeddedEngine,
    workspace: Workspace,
    channel: tuple[Path, str],
    tmp_path: Path,
    channel_settings: UserSettings,
    interpreters: Interpreters,
) -> None:
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    report = RecordingReport()
    built = engine.provision(make_plan(tmp_path, f'python = "{mine}"\n', channel_settings), workspace, report)
    assert built.python_version.startswith(mine)
    assert all(package.source == "pypi" for package in built.packages)
    assert any("comes from this machine" in line for line in report.lines)


def test_conda_and_pypi_fill_one_prefix_and_conda_stays_untouched(
    engine: EmbeddedEngine,
    shared_store: Store,
    channel: tuple[Path, str],
    tmp_path: Path,
    channel_settings: UserSettings,
) -> None:
    text = text_for(channel[1], 'tinylib = "*"\ntinydata = "*"', 'tinylib = ">=2"')
    plan = make_plan(tmp_path, text, channel_settings)
    for number in ("cccccc01", "cccccc02"):  # the second time the server answers "304 Not Modified"
        workspace, report = shared_store.environment(number).generation(1), RecordingReport()
        built = engine.provision(plan, workspace, report)
    assert built.python_version == channel[1]
    assert set(built.packages) >= {Package("tinylib", "2.0", "conda"), Package("tinydata", "1.0", "conda")}
    assert [package.name for package in built.packages if package.source == "pypi"] == ["msgpack"]
    assert (workspace.prefix / "etc/tiny.cfg").read_text() == f"prefix={workspace.prefix}\n"
    program = "import json, sys, tinylib, msgpack, ssl; print(json.dumps([sys.prefix, tinylib.__version__]))"
    environ = {"PATH": os.environ["PATH"]}
    answer = subprocess.run(
        [built.python, "-c", program], capture_output=True, check=True, env=environ
    ).stdout
    assert json.loads(answer) == [str(workspace.prefix), "2.0"]
    assert (4, 4) in report.counts
    assert not list((workspace.directory).glob("question"))


def test_a_dead_mirror_is_no_channel_for_conda_packages(
    shared_store: Store,
    workspace: Workspace,
    engine_tools: EngineTools,
    tmp_path: Path,
    channel_settings: UserSettings,
    channel: tuple[Path, str],
) -> None:
    mirrors = {"https://conda.anaconda.org/conda-forge": ("http://127.0.0.1:9/conda-forge",)}
    dead = dataclasses.replace(channel_settings, conda_mirrors=mirrors)
    plan = make_plan(tmp_path, text_for(channel[1], 'tinylib = "*"'), dead)
    with pytest.raises(BuildError) as raised:
        EmbeddedEngine(shared_store, dead).provision(plan, workspace, RecordingReport())
    assert raised.value.cause is BuildCause.NO_CHANNEL


def test_a_mirror_that_a_variable_names_is_asked(
    shared_store: Store,
    workspace: Workspace,
    engine_tools: EngineTools,
    tmp_path: Path,
    channel_settings: UserSettings,
    channel: tuple[Path, str],
) -> None:
    """Nothing of it stands in a file that the engine could read itself."""
    ((mirror,),) = channel_settings.conda_mirrors.values()
    environ = {
        name: value for name, value in channel_settings.environ.items() if not name.startswith("PIXI_")
    }
    settings = UserSettings.gather({**environ, "COMFY_ENV_CONDA_MIRROR": mirror + "/"}, tmp_path / "nowhere")
    assert not settings.conda_files
    plan = make_plan(tmp_path, text_for(channel[1], 'nobody-has-this = "*"'), settings)
    with pytest.raises(BuildError) as raised:
        EmbeddedEngine(shared_store, settings).provision(plan, workspace, RecordingReport())
    assert raised.value.cause is BuildCause.NO_SUCH_PACKAGE


def test_a_pypi_package_may_need_what_only_conda_has(
    shared_store: Store,
    workspace: Workspace,
    engine_tools: EngineTools,
    tmp_path: Path,
    channel_settings: UserSettings,
    channel: tuple[Path, str],
) -> None:
    with serving(index_of_needs(needy="tinylib>=2", picky="tinylib<2")) as index:
        settings = dataclasses.replace(channel_settings, index_url=f"{index.url}/simple", proxies={})
        engine = EmbeddedEngine(shared_store, settings)
        plan = make_plan(tmp_path, text_for(channel[1], 'tinylib = "*"', 'needy = "*"'), settings)
        built = engine.provision(plan, workspace, RecordingReport())
        remove_tree(workspace.prefix)
        plan = make_plan(tmp_path, text_for(channel[1], 'tinylib = "*"', 'picky = "*"'), settings)
        with pytest.raises(BuildError) as raised:
            engine.provision(plan, workspace, RecordingReport())
    assert {(package.name, package.source) for package in built.packages} >= {
        ("tinylib", "conda"),
        ("needy", "pypi"),
    }
    assert ("tinylib", "pypi") not in {(package.name, package.source) for package in built.packages}
    assert raised.value.cause is BuildCause.CONFLICT
