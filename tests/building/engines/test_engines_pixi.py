"""Choosing, downloading and driving pixi. A stand-in program plays pixi and accepts exactly one way of being called."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from building.engines.offline_channel import served
from building.engines.samples import (
    LoopbackIndex,
    RecordingReport,
    make_plan,
    serving,
    sha256,
    silent_server,
)

from comfy_env_core.building.engines import pixi as pixi_engine
from comfy_env_core.building.engines.choosing import EngineChooser, choose_engine
from comfy_env_core.building.engines.contract import Package
from comfy_env_core.building.engines.pixi import PixiEngine
from comfy_env_core.building.engines.pixi_binary import PINNED_VERSION, Archive, downloaded_path
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.report import Phase
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")

STAND_IN = Path(__file__).with_name("pixi_stand_in.py")
CONFIG = 'python = "3.11"\n[dependencies]\ncmake = ">=3"\n[pypi-dependencies]\ntrimesh = "*"\n'


def stand_in(directory: Path, version: str = "0.75.0", **more: object) -> Path:
    """A `pixi` in `directory` that expects to be called as the engine calls it."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "pixi"
    program.write_text(f"#!{sys.executable} -E\n{STAND_IN.read_text()}")
    program.chmod(0o755)
    expected = {"version": version, "variables": ["PIXI_CACHE_DIR", "PIXI_NO_WRAP"], **more}
    (directory / "expected.json").write_text(json.dumps(expected))
    return program


def lonely_settings(tmp_path: Path, **environ: str) -> UserSettings:
    """Of a user whose network leads nowhere and who has no pixi."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    base = {"PATH": "/usr/bin:/bin", "HOME": str(home), "COMFY_ENV_PIXI_MIRROR": "http://127.0.0.1:9"}
    settings = UserSettings.gather({**base, **environ}, home)
    return dataclasses.replace(settings, ca_bundle=None, extra_index_urls=(), find_links=())


@pytest.fixture(autouse=True)
def table_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """pixi's own host, here on loopback; without the file it is as if it were out of reach."""
    directory = tmp_path / "names"
    directory.mkdir()
    table = directory / "mapping.json"
    table.write_text("{}")
    with served(directory) as url:
        monkeypatch.setattr(pixi_engine, "NAMES_URL", f"{url}/{table.name}")
        yield table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def archive_of(program: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        member = tarfile.TarInfo("pixi")
        member.size = len(program)
        tar.addfile(member, io.BytesIO(program))
    return content.getvalue()


class Mirror(LoopbackIndex):
    """Serves one release archive under the path of the releases."""

    def answer(self, path: str) -> tuple[int, str, bytes]:
        name = path.rpartition("/")[2]
        if path == f"/v{PINNED_VERSION}/{name}" and name in self.files:
            return 200, "application/gzip", self.files[name]
        return 404, "text/plain", b""


def table(content: bytes, digest: str | None = None) -> dict[str, Archive]:
    return {Platform.current().name: Archive("pixi-test.tar.gz", digest or sha256(content))}


def test_a_server_that_never_answers_does_not_hold_the_choice_beyond_the_deadline(
    tmp_path: Path, store: Store
) -> None:
    with silent_server() as url:
        settings = lonely_settings(tmp_path, COMFY_ENV_PIXI_MIRROR=url)
        started = time.monotonic()
        chooser = EngineChooser(store, settings, deadline_s=0.4)
        assert chooser.choose(RecordingReport()).name == "embedded"
        assert time.monotonic() - started < 2
        started = time.monotonic()
        assert chooser.choose(RecordingReport()).name == "embedded"
        assert time.monotonic() - started < 0.1


def test_a_download_with_a_wrong_checksum_is_refused_and_the_embedded_engine_builds(
    tmp_path: Path, store: Store
) -> None:
    content = archive_of(b"#!/bin/sh\ntouch /tmp/should-never-run\n")
    with serving(Mirror({"pixi-test.tar.gz": content})) as mirror:
        settings = lonely_settings(tmp_path, COMFY_ENV_PIXI_MIRROR=mirror.url)
        report = RecordingReport()
        chooser = EngineChooser(store, settings, archives=table(content, "0" * 64))
        assert chooser.choose(report).name == "embedded"
    assert not downloaded_path(store).exists()
    assert any(sha256(content) in line for line in report.lines)


def test_pixi_that_is_demanded_and_cannot_be_had_is_an_error(tmp_path: Path, store: Store) -> None:
    settings = lonely_settings(tmp_path, COMFY_ENV_ENGINE="pixi")
    with pytest.raises(BuildError, match="COMFY_ENV_PIXI_MIRROR") as raised:
        choose_engine(store, settings, RecordingReport(), deadline_s=0.5)
    assert raised.value.cause is BuildCause.NETWORK


@pytest.mark.parametrize("variables", [{"COMFY_ENV_ENGINE": "conda"}, {"COMFY_ENV_PIXI": "/nowhere/pixi"}])
def test_a_setting_that_means_nothing_is_an_error_and_not_ignored(
    tmp_path: Path, store: Store, variables: dict[str, str]
) -> None:
    with pytest.raises(BuildError) as raised:
        choose_engine(store, lonely_settings(tmp_path, **variables), RecordingReport(), deadline_s=0.5)
    assert raised.value.cause is BuildCause.CONFIG
    assert next(iter(variables)) in str(raised.value)


def test_a_pixi_that_is_too_old_or_broken_is_passed_over_with_a_word(tmp_path: Path, store: Store) -> None:
    old = stand_in(tmp_path / "old", version="0.49.0")
    broken = tmp_path / "home/.pixi/bin/pixi"
    settings = lonely_settings(tmp_path, PATH=f"{old.parent}:/usr/bin:/bin")
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    report = RecordingReport()
    assert choose_engine(store, settings, report, deadline_s=0.5).name == "embedded"
    assert any("0.49.0" in line for line in report.lines)
    assert any("exit code 3" in line for line in report.lines)


def test_the_users_own_pixi_comes_before_path_and_home(tmp_path: Path, store: Store) -> None:
    for name, version in (("mine", "0.70.1"), ("path", "0.71.0"), ("home/.pixi/bin", "0.72.0")):
        stand_in(tmp_path / name, version=version)
    path = f"{tmp_path / 'path'}:/usr/bin:/bin"
    named = lonely_settings(tmp_path, PATH=path, COMFY_ENV_PIXI=str(tmp_path / "mine/pixi"))
    report = RecordingReport()
    assert choose_engine(store, named, report).version == "0.70.1"
    assert choose_engine(store, lonely_settings(tmp_path, PATH=path), report).version == "0.71.0"
    assert choose_engine(store, lonely_settings(tmp_path), report).version == "0.72.0"


def test_our_own_download_is_checked_kept_and_used_again_without_the_network(
    tmp_path: Path, store: Store
) -> None:
    content = archive_of(b'#!/bin/sh\necho "pixi 0.75.0"\n')
    with serving(Mirror({"pixi-test.tar.gz": content})) as mirror:
        settings = lonely_settings(tmp_path, COMFY_ENV_PIXI_MIRROR=mirror.url)
        engine = EngineChooser(store, settings, archives=table(content)).choose(RecordingReport())
    assert (engine.name, engine.version) == ("pixi", "0.75.0")
    assert [path.name for path in store.engines_dir.iterdir()] == [f"pixi-{PINNED_VERSION}"]
    again = choose_engine(store, lonely_settings(tmp_path), RecordingReport(), deadline_s=0.1)
    assert again.name == "pixi"


def test_pixi_is_called_exactly_as_agreed_and_its_prefix_is_read_back(tmp_path: Path, store: Store) -> None:
    pixi = stand_in(tmp_path / "bin")
    settings = lonely_settings(
        tmp_path,
        COMFY_ENV_PIXI=str(pixi),
        PIXI_FROZEN="1",
        PIP_NO_INDEX="0",
        PYTHONPATH="/x",
        CONDA_PREFIX="/y",
    )
    plan = make_plan(tmp_path, CONFIG, settings)
    workspace = store.environment(plan.environment_id).generation(1)
    report = RecordingReport()
    built = choose_engine(store, settings, report).provision(plan, workspace, report)
    version = "{}.{}.{}".format(*sys.version_info[:3])
    assert (built.engine, built.engine_version, built.python_version) == ("pixi", "0.75.0", version)
    assert built.prefix == workspace.prefix
    assert built.python.exists()
    assert set(built.packages) >= {
        Package("python", version, "conda"),
        Package("condalib", "1.0", "conda"),
        Package("pypilib", "1.0", "pypi"),
    }
    assert sum(package.name == "condalib" for package in built.packages) == 1
    assert (tmp_path / "bin/manifest.toml").read_text() == plan.manifest()
    assert " WARN stand-in at work" in report.lines
    assert report.phases[-1][0] in (Phase.RESOLVING, Phase.INSTALLING)


@pytest.mark.parametrize("version", ["0.60.0", "0.75.0"])
def test_where_the_table_of_names_is_out_of_reach_pixi_is_told_to_do_without(
    tmp_path: Path, store: Store, table_of_names: Path, version: str
) -> None:
    table_of_names.unlink()
    pixi = stand_in(tmp_path / "bin", version=version)
    settings = lonely_settings(tmp_path, COMFY_ENV_PIXI=str(pixi))
    plan = make_plan(tmp_path, CONFIG, settings)
    report = RecordingReport()
    choose_engine(store, settings, report).provision(
        plan, store.environment(plan.environment_id).generation(1), report
    )
    manifest = (tmp_path / "bin/manifest.toml").read_text()
    assert "conda-pypi-map = {" in manifest
    assert any("out of reach" in line for line in report.lines)


def test_an_older_pixi_gets_the_manifest_it_can_read(tmp_path: Path, store: Store) -> None:
    pixi = stand_in(tmp_path / "bin", version="0.60.0")
    settings = lonely_settings(tmp_path, COMFY_ENV_PIXI=str(pixi))
    plan = make_plan(tmp_path, CONFIG, settings)
    engine = choose_engine(store, settings, RecordingReport())
    engine.provision(plan, store.environment(plan.environment_id).generation(1), RecordingReport())
    assert (tmp_path / "bin/manifest.toml").read_text() == plan.manifest(rich_platforms=False)


def test_a_failing_pixi_is_explained_with_its_last_lines(tmp_path: Path, store: Store) -> None:
    pixi = stand_in(tmp_path / "bin", exit_code=1)
    with serving(
        LoopbackIndex({"trimesh-1-py3-none-any.whl": b"", "msgpack-1.1.1-py3-none-any.whl": b""})
    ) as index:
        mirrors = {"https://conda.anaconda.org/conda-forge": (f"{index.url}/trimesh",)}
        settings = lonely_settings(tmp_path, COMFY_ENV_PIXI=str(pixi), PIP_INDEX_URL=f"{index.url}/simple")
        plan = make_plan(tmp_path, CONFIG, settings)
        workspace = store.environment(plan.environment_id).generation(1)
        engine = choose_engine(store, settings, RecordingReport())
        with pytest.raises(BuildError) as offline:
            engine.provision(plan, workspace, RecordingReport())

        class Channel(LoopbackIndex):
            def answer(self, path: str) -> tuple[int, str, bytes]:
                return 200, "application/json", b"{}"

        with serving(Channel({})) as channel:
            mirrors = {"https://conda.anaconda.org/conda-forge": (channel.url,)}
            engine = choose_engine(
                store, dataclasses.replace(settings, conda_mirrors=mirrors), RecordingReport()
            )
            with pytest.raises(BuildError) as refused:
                engine.provision(plan, workspace, RecordingReport())
            unknown = make_plan(tmp_path, CONFIG + 'no-such-thing = "*"\n', settings)
            with pytest.raises(BuildError) as named:
                engine.provision(unknown, workspace, RecordingReport())
    assert offline.value.cause is BuildCause.NETWORK
    assert refused.value.cause is BuildCause.CONFLICT
    assert "it does not fit together" in refused.value.tail[-1]
    assert named.value.cause is BuildCause.NO_SUCH_PACKAGE
    assert "no-such-thing" in str(named.value)


def test_a_pixi_that_fails_after_it_has_chosen_is_not_told_as_a_conflict(
    tmp_path: Path, store: Store
) -> None:
    class Answering(LoopbackIndex):
        """A channel and an index in one."""

        def answer(self, path: str) -> tuple[int, str, bytes]:
            return (200, "application/json", b"{}") if "repodata" in path else super().answer(path)

    pixi = stand_in(tmp_path / "bin", exit_code=1, has_chosen=True)
    names = ("trimesh-1-py3-none-any.whl", "msgpack-1.1.1-py3-none-any.whl")
    with serving(Answering(dict.fromkeys(names, b""))) as index:
        settings = dataclasses.replace(
            lonely_settings(tmp_path, COMFY_ENV_PIXI=str(pixi), PIP_INDEX_URL=f"{index.url}/simple"),
            conda_mirrors={"https://conda.anaconda.org/conda-forge": (index.url,)},
        )
        plan = make_plan(tmp_path, CONFIG, settings)
        workspace = store.environment(plan.environment_id).generation(1)
        with pytest.raises(BuildError) as raised:
            choose_engine(store, settings, RecordingReport()).provision(plan, workspace, RecordingReport())
    assert raised.value.cause is BuildCause.NETWORK, raised.value


def test_a_cancelled_build_leaves_no_pixi_behind(tmp_path: Path, store: Store) -> None:
    pixi = stand_in(tmp_path / "bin", sleep_s=60)
    settings = lonely_settings(tmp_path, COMFY_ENV_PIXI=str(pixi))
    plan = make_plan(tmp_path, CONFIG, settings)
    engine = choose_engine(store, settings, RecordingReport())
    report = RecordingReport(cancel_at=lambda report: (tmp_path / "bin/pid").exists())
    with pytest.raises(BuildError) as raised:
        engine.provision(plan, store.environment(plan.environment_id).generation(1), report)
    assert raised.value.cause is BuildCause.CANCELLED
    assert not psutil.pid_exists(int((tmp_path / "bin/pid").read_text()))


def test_mirrors_that_only_a_cleared_variable_led_to_are_said_again(tmp_path: Path, store: Store) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    url = "https://conda.anaconda.org/conda-forge"
    (elsewhere / "config.toml").write_text(f'[mirrors]\n"{url}" = ["http://127.0.0.1:9/cf"]\n')
    pixi = stand_in(tmp_path / "bin")
    settings = lonely_settings(tmp_path, COMFY_ENV_PIXI=str(pixi), PIXI_HOME=str(elsewhere))
    plan = make_plan(tmp_path, CONFIG, settings)
    workspace = store.environment(plan.environment_id).generation(1)
    engine = choose_engine(store, settings, RecordingReport())
    engine.provision(plan, workspace, RecordingReport())
    assert "http://127.0.0.1:9/cf" in (workspace.directory / ".pixi/config.toml").read_text()


def test_many_builds_at_once_choose_one_engine(tmp_path: Path, store: Store) -> None:
    chooser = EngineChooser(store, lonely_settings(tmp_path), deadline_s=0.5)
    chosen: list[object] = []
    threads = [
        threading.Thread(target=lambda: chosen.append(chooser.choose(RecordingReport()))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(chosen) == 5
    assert len(set(map(id, chosen))) == 1
    assert not isinstance(chosen[0], PixiEngine)
    assert shutil.which("pixi", path="/usr/bin:/bin") is None
