"""The settings as variables, below those of the environment."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comfy_env_core import assembly
from comfy_env_core.assembly import CurrentSettings, EngineChoice
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import QuietReport
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import HostNeed
from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode
from comfy_env_core.settings.effective import effective
from comfy_env_core.settings.shown import show
from comfy_env_core.settings.table import IDLE_TIMEOUT_S as DECLARED_IDLE_TIMEOUT_S
from comfy_env_core.settings.table import SETTINGS
from comfy_env_core.sites.planning import Planner
from comfy_env_core.supervision import IdlePolicy
from comfy_env_core.supervision.idling import IDLE_TIMEOUT_S

REPOSITORY = Path(__file__).resolve().parents[2]
EVERYTHING = {
    "build_at_start": "off",
    "max_workers": 3,
    "idle_timeout_s": 90.5,
    "engine": "embedded",
    "pypi_index": "https://mirror.example/simple",
    "conda_mirror": "https://mirror.example/conda-forge",
    "pixi_mirror": "https://mirror.example/pixi",
    "torch_mirror": "https://mirror.example/whl",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def write(store: Store, values: object) -> None:
    store.settings_path.write_text(json.dumps(values))


def test_a_file_with_mistakes_is_told_once_and_the_rest_of_it_counts(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    write(store, {"max_workers": -3, "max_wokers": 1, "engine": "pixi"})
    variables = effective({}, store)
    variables.renew()
    assert dict(variables) == {"COMFY_ENV_ENGINE": "pixi"}
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "max_workers is -3" in caplog.text and "'max_wokers' is no setting" in caplog.text


def test_the_environment_wins_and_is_shown_to_win(store: Store) -> None:
    write(store, EVERYTHING)
    environ = {
        "COMFY_ENV_MAX_WORKERS": "7",
        "PIP_INDEX_URL": "https://me:hunter2@index.example/simple",
        "COMFY_ENV_ENGINE": "",
        "COMFY_ENV_BUILD": "someday",
    }
    variables = effective(environ, store)
    assert variables["COMFY_ENV_MAX_WORKERS"] == "7" and "UV_DEFAULT_INDEX" not in variables
    assert variables["COMFY_ENV_ENGINE"] == "embedded", "an empty variable says nothing"
    shown = {one.setting.name: one for one in show(environ, store)[0]}
    workers, index, build = (shown[name] for name in ("max_workers", "pypi_index", "build_at_start"))
    assert (workers.value, workers.source, workers.variable) == (7, "environment", "COMFY_ENV_MAX_WORKERS")
    assert (index.value, index.variable) == ("https://***@index.example/simple", "PIP_INDEX_URL")
    assert build.source == "environment" and "COMFY_ENV_BUILD" in (build.problem or "")
    assert (shown["engine"].value, shown["engine"].source) == ("embedded", "settings")


def test_everything_that_is_set_is_understood_by_who_reads_it(store: Store, tmp_path: Path) -> None:
    assert set(EVERYTHING) == {setting.name for setting in SETTINGS}
    write(store, EVERYTHING)
    variables = effective({"PIP_CONFIG_FILE": "/dev/null"}, store)
    settings = UserSettings.gather(variables, tmp_path / "nobody")
    assert assembly.build_mode(variables) is BuildMode.OFF
    assert IdlePolicy.from_environment(variables) == IdlePolicy(3, 90.5)
    assert settings.engine == "embedded" and settings.pixi_mirror == EVERYTHING["pixi_mirror"]
    assert settings.main_index_url == EVERYTHING["pypi_index"]
    assert list(settings.conda_mirrors.values()) == [(EVERYTHING["conda_mirror"],)]
    assert settings.environ["COMFY_ENV_TORCH_WHEELS"] == EVERYTHING["torch_mirror"]


def test_without_a_file_everything_has_its_default(store: Store) -> None:
    variables = effective({"A": "1"}, store)
    assert dict(variables) == {"A": "1"} and len(variables) == 1
    assert IdlePolicy.from_environment(variables) == IdlePolicy()
    assert {one.source for one in show({}, store)[0]} == {"default"}
    assert DECLARED_IDLE_TIMEOUT_S == IDLE_TIMEOUT_S


def test_a_change_counts_from_the_next_look_on(store: Store) -> None:
    environ = {"A": "1"}
    variables = effective(environ, store)
    write(store, {"max_workers": 1})
    environ["B"] = "2"
    assert dict(variables) == {"A": "1", "B": "2"}
    variables.renew()
    assert dict(variables) == {"A": "1", "B": "2", "COMFY_ENV_MAX_WORKERS": "1"}
    store.settings_path.unlink()
    variables.renew()
    assert "COMFY_ENV_MAX_WORKERS" not in variables


def test_a_start_pays_little_for_it(store: Store) -> None:
    """Measured 0.1 ms with everything set; the rest is for slow disks."""
    write(store, EVERYTHING)
    took_s = []
    for _ in range(20):
        began = time.perf_counter()
        effective({}, store)
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < 0.001


def test_reading_imports_the_standard_library_alone() -> None:
    """It is read before our own libraries are sure to be there."""
    code = (
        "import sys; import comfy_env_core.settings.effective; "
        "print([name for name in ('filelock', 'psutil', 'msgpack', 'aiohttp', 'comfy_env_core.building') "
        "if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=True
    )
    assert told.stdout.strip() == "[]"


def test_an_engine_that_is_chosen_counts_for_the_next_build(store: Store, tmp_path: Path) -> None:
    environ = {"COMFY_ENV_PIXI": str(tmp_path / "nowhere"), "PIP_CONFIG_FILE": os.devnull}
    settings = CurrentSettings(effective(environ, store))
    choice = EngineChoice(store, settings)
    write(store, {"engine": "embedded"})
    before = settings.current()
    assert choice.choose(QuietReport()).name == "embedded"
    assert settings.current() is before and choice.choose(QuietReport()) is choice.choose(QuietReport())
    write(store, {"engine": "pixi"})
    with pytest.raises(BuildError) as raised:
        choice.choose(QuietReport())
    assert raised.value.cause is BuildCause.CONFIG
    write(store, {"engine": "embedded", "pypi_index": "https://mirror.example/simple"})
    assert choice.choose(QuietReport()).name == "embedded"
    assert settings.current().index_url == "https://mirror.example/simple"


def test_a_plan_that_is_made_after_a_change_is_remembered_as_such(store: Store, tmp_path: Path) -> None:
    """Or the next start would take every site that was built meanwhile for changed."""
    pack = tmp_path / "custom_nodes" / "pack"
    pack.mkdir(parents=True)
    (pack / "comfy-env.toml").write_text("")
    (pack / "__init__.py").write_text("")
    (site,) = scan([pack.parent], host_skips(False, ())).sites
    environ = {"PIP_CONFIG_FILE": os.devnull}

    def planner() -> Planner:
        variables = effective(environ, store)
        return Planner(None, CurrentSettings(variables).current, variables)

    running = planner()
    running.plan(site, ())
    before = running.plan_key(site, "", HostNeed.NONE)
    write(store, {"pypi_index": "https://mirror.example/simple"})
    plan = running.plan(site, ())
    after = running.plan_key(site, "", HostNeed.NONE)
    assert plan.pypi_options["index-url"] == "https://mirror.example/simple"
    assert before != after == planner().plan_key(site, "", HostNeed.NONE)
