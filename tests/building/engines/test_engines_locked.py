"""Builds from a lock alone: made here by the embedded engine for a channel and an index on loopback."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from building.engines.offline_channel import SUBDIR, served
from building.engines.samples import (
    LoopbackIndex,
    RecordingReport,
    index_of_needs,
    make_plan,
    serving,
    sha256,
    wheel_bytes,
)

from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.fitting import is_all_there, with_lock
from comfy_env_core.building.locks.lock_file import lock_text, read_lock
from comfy_env_core.building.locks.locking import Locking
from comfy_env_core.building.locks.model import (
    CondaPackage,
    IndexedFile,
    Lock,
    LockedEnvironment,
    PypiPackage,
    meaning_of,
)
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.atomic import remove_tree
from comfy_env_core.environments.store import Store, Workspace

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the offline channel is a Linux one"
)


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    with serving(index_of_needs(needy="helper", helper="")) as index:
        yield index


@pytest.fixture
def settings(channel_settings: UserSettings, index: LoopbackIndex) -> UserSettings:
    return dataclasses.replace(
        channel_settings,
        index_url=f"{index.url}/simple",
        extra_index_urls=(),
        find_links=(),
        index_strategy=None,
        proxies={},
    )


@pytest.fixture
def workspace(shared_store: Store) -> Workspace:
    number = sum(1 for _ in shared_store.root.glob("_env_*"))
    return shared_store.environment(f"d{number:07x}").begin_generation()


def file_text(channel: tuple[Path, str]) -> str:
    series = ".".join(channel[1].split(".")[:2])
    return f'python = "{series}"\n[dependencies]\ntinylib = "*"\n[pypi-dependencies]\nneedy = "*"\n'


def locked(plan: BuildPlan, environment: LockedEnvironment, directory: Path) -> BuildPlan:
    """The plan with this lock, written beside its file and read again."""
    path = directory / LOCK_NAME
    text = lock_text(Lock(path, meaning_of(plan.spec), (environment,))).encode()
    path.write_bytes(text)
    return with_lock(plan, text, path)


def test_a_lock_is_built_from_alone_and_gives_what_it_names_although_newer_is_there(
    shared_store: Store,
    channel: tuple[Path, str],
    engine_tools: EngineTools,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
    index: LoopbackIndex,
) -> None:
    plan = make_plan(tmp_path, file_text(channel), settings)
    environment = Locking(shared_store, settings, RecordingReport()).environment(plan)
    assert [package.name for package in environment.conda] == ["python", "python_abi", "tinylib"]
    assert [package.name for package in environment.pypi] == ["helper", "msgpack", "needy"]
    assert environment.needs == {"glibc": "2.28"}
    assert index.url not in lock_text(Lock(tmp_path, "", (environment,)))

    index.files["helper-2.0-py3-none-any.whl"] = wheel_bytes("helper", "2.0", {"helper.py": b""})
    fixed = locked(plan, environment, tmp_path)
    assert is_all_there(fixed)
    assert fixed.environment_id != plan.environment_id
    report = RecordingReport()
    built = EmbeddedEngine(shared_store, settings).provision(fixed, workspace, report)
    versions = {package.name: package.version for package in built.packages}
    assert versions == {
        "python": channel[1],
        "python_abi": versions["python_abi"],
        "tinylib": "2.0",
        "helper": "1.5",
        "needy": "1.5",
        "msgpack": "1.5",
    }
    assert not any("requirements" in text for _, text in report.phases), "nothing is resolved"
    result = read_lock((workspace.directory / LOCK_NAME).read_bytes(), workspace.directory / LOCK_NAME)
    (recorded,) = result.environments
    assert recorded.conda == environment.conda
    assert [(one.name, one.files[0].sha256) for one in recorded.pypi] == [
        (one.name, one.files[0].sha256) for one in environment.pypi
    ]
    assert result.meaning == meaning_of(plan.spec)


def test_a_tampered_wheel_is_refused(
    shared_store: Store,
    channel: tuple[Path, str],
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
) -> None:
    honest = LoopbackIndex(
        {"onlyhere-1.0-py3-none-any.whl": wheel_bytes("onlyhere", "1.0", {"onlyhere.py": b""})}
    )
    honest.files |= index_of_needs().files
    series = ".".join(channel[1].split(".")[:2])

    class Tampered(LoopbackIndex):
        """Says the checksum that was published, and sends another file."""

        def answer(self, path: str) -> tuple[int, str, bytes]:
            status, kind, body = super().answer(path)
            return (
                (status, kind, body + b"\0")
                if path.endswith("onlyhere-1.0-py3-none-any.whl")
                else (status, kind, body)
            )

    files = (("msgpack", "1.5"), ("onlyhere", "1.0"))
    pypi = tuple(
        PypiPackage(name, version, (IndexedFile(wheel, "", sha256(honest.files[wheel])),))
        for name, version in files
        for wheel in (f"{name}-{version}-py3-none-any.whl",)
    )
    plan = make_plan(tmp_path, f'python = "{series}"\n[pypi-dependencies]\nonlyhere = "*"\n', settings)
    fixed = locked(plan, LockedEnvironment(SUBDIR, series, {}, (), (), (), pypi), tmp_path)
    with serving(Tampered(honest.files)) as tampered:
        mine = dataclasses.replace(settings, index_url=f"{tampered.url}/simple")
        with pytest.raises(BuildError) as raised:
            EmbeddedEngine(shared_store, mine).provision(fixed, workspace, RecordingReport())
    assert raised.value.cause is BuildCause.CHECKSUM, str(raised.value)
    assert "onlyhere" in str(raised.value)
    remove_tree(workspace.prefix)
    changed = LoopbackIndex(
        {**honest.files, "onlyhere-1.0-py3-none-any.whl": wheel_bytes("onlyhere", "1.0", {})}
    )
    with serving(changed):
        mine = dataclasses.replace(settings, index_url=f"{changed.url}/simple")
        with pytest.raises(BuildError) as raised:
            EmbeddedEngine(shared_store, mine).provision(fixed, workspace, RecordingReport())
    assert raised.value.cause is BuildCause.CHECKSUM, str(raised.value)
    assert "another file" in str(raised.value)


@pytest.mark.parametrize("over_http", [True, False])
def test_a_tampered_conda_package_is_refused(
    shared_store: Store,
    channel: tuple[Path, str],
    engine_tools: EngineTools,
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
    over_http: bool,
) -> None:
    copy = tmp_path / "channels" / "conda-forge"
    shutil.copytree(channel[0] / "conda-forge", copy)
    package = next(copy.glob("noarch/tinylib-2.0-*"))
    package.write_bytes(package.read_bytes() + b"\0")
    with served(copy.parent) as url:
        place = f"{url}/conda-forge" if over_http else copy.as_uri()
        text = file_text(channel).replace(
            "[dependencies]", f'[workspace]\nchannels = ["{place}"]\n[dependencies]'
        )
        plan = make_plan(tmp_path, text, settings)
        store = Store(tmp_path / "store")
        store.root.mkdir()
        store.engines_dir.symlink_to(shared_store.engines_dir)
        with pytest.raises(BuildError) as raised:
            EmbeddedEngine(store, settings).provision(plan, workspace, RecordingReport())
    assert raised.value.cause is BuildCause.CHECKSUM, str(raised.value)


def test_a_package_of_the_cache_is_not_taken_for_a_locked_one_with_another_checksum(
    shared_store: Store,
    channel: tuple[Path, str],
    workspace: Workspace,
    tmp_path: Path,
    settings: UserSettings,
) -> None:
    plan = make_plan(tmp_path, file_text(channel), settings)
    environment = Locking(shared_store, settings, RecordingReport()).environment(plan)
    engine = EmbeddedEngine(shared_store, settings)
    engine.provision(locked(plan, environment, tmp_path), workspace, RecordingReport())
    remove_tree(workspace.prefix)
    wrong = tuple(
        CondaPackage({**one.record, "sha256": "0" * 64}) if one.name == "tinylib" else one
        for one in environment.conda
    )
    fixed = locked(plan, dataclasses.replace(environment, conda=wrong), tmp_path)
    with pytest.raises(BuildError) as raised:
        engine.provision(fixed, workspace, RecordingReport())
    assert raised.value.cause is BuildCause.CHECKSUM, str(raised.value)
