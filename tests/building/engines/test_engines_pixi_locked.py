"""pixi and locks: its result written as one, a build from one alone, and one beside what follows the machine."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from building.engines.samples import LoopbackIndex, RecordingReport, index_of_needs, make_plan, serving
from building.engines.test_engines_pixi import lonely_settings, stand_in, table_of_names

from comfy_env_core.building.engines.choosing import choose_engine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.fitting import pinned
from comfy_env_core.building.locks.lock_file import read_lock
from comfy_env_core.building.locks.model import CondaPackage, IndexedFile, LockedEnvironment, PypiPackage
from comfy_env_core.building.locks.pixi_lock import pixi_lock_text, pypi_of_pixi_lock
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase
from comfy_env_core.environments.store import Store, Workspace

__all__ = ["table_of_names"]  # the fixture that every test here uses

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script with a #! line")

VERSION = "{}.{}.{}".format(*sys.version_info[:3])
CONFIG = f'python = "{VERSION}"\n[dependencies]\ncondalib = "*"\n[pypi-dependencies]\npypilib = "*"\n'
CHANNEL = "https://conda.anaconda.org/conda-forge/"
FILES = "https://files.pythonhosted.org/packages"


def conda(name: str, version: str) -> CondaPackage:
    place = f"{CHANNEL}linux-64/{name}-{version}-0.conda"
    record = {"name": name, "version": version, "build": "0", "build_number": 0, "subdir": "linux-64"}
    return CondaPackage({**record, "url": place, "sha256": "cd" * 32, "channel": CHANNEL})


def pypi(name: str, version: str, digest: str = "ab" * 32) -> PypiPackage:
    filename = f"{name}-{version}-py3-none-any.whl"
    return PypiPackage(name, version, (IndexedFile(filename, f"{FILES}/{filename}", digest),))


def environment_of(plan: BuildPlan, **changes: Any) -> LockedEnvironment:
    environment = LockedEnvironment(
        platform=plan.platform.name,
        python=VERSION,
        needs={},
        follows=(),
        channels=(CHANNEL,),
        conda=(conda("condalib", "1.0"), conda("python", VERSION)),
        pypi=(pypi("msgpack", "1.1.2"), pypi("pypilib", "1.0")),
    )
    return dataclasses.replace(environment, **changes)


def provision(plan: BuildPlan, tmp_path: Path, **expected: object) -> tuple[Workspace, RecordingReport]:
    pixi = stand_in(tmp_path / "bin", **expected)  # type: ignore[arg-type]
    settings = lonely_settings(tmp_path, COMFY_ENV_PIXI=str(pixi))
    store = Store(tmp_path / "store")
    workspace, report = store.environment(plan.environment_id).generation(1), RecordingReport()
    workspace.directory.mkdir(parents=True)
    choose_engine(store, settings, report).provision(plan, workspace, report)
    return workspace, report


def test_another_file_than_the_locked_one_is_refused(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, CONFIG)
    locked = environment_of(plan, follows=("torch",))
    with pytest.raises(BuildError) as raised:
        provision(dataclasses.replace(plan, lock=locked), tmp_path, sha256="99" * 32)
    assert raised.value.cause is BuildCause.CHECKSUM
    assert "pypilib-1.0-py3-none-any.whl" in str(raised.value)


def test_what_pixi_installed_is_kept_as_a_lock(tmp_path: Path) -> None:
    workspace, report = provision(make_plan(tmp_path, CONFIG), tmp_path, pause_s=0.7)
    (result,) = read_lock((workspace.directory / LOCK_NAME).read_bytes(), Path(LOCK_NAME)).environments
    assert [(one.name, one.record["sha256"]) for one in result.conda] == [
        ("condalib", "cd" * 32),
        ("python", "cd" * 32),
    ]
    assert [(one.name, one.version, one.files[0].sha256) for one in result.pypi] == [
        ("pypilib", "1.0", "ab" * 32)
    ]
    told = [phase for phase, text in report.phases if text != "looking for pixi"]
    assert told == sorted(told, key=[Phase.RESOLVING, Phase.DOWNLOADING, Phase.INSTALLING].index)
    assert (Phase.RESOLVING, "PyPI packages") in report.phases
    assert (Phase.DOWNLOADING, "3 packages") in report.phases
    assert (Phase.INSTALLING, "1 PyPI packages") in report.phases
    assert (0, 3) in report.counts


def test_a_lock_that_names_everything_is_installed_frozen(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, CONFIG)
    locked = environment_of(plan)
    workspace, report = provision(dataclasses.replace(plan, lock=locked), tmp_path)
    assert json.loads((tmp_path / "bin/arguments.json").read_text())[-1] == "--frozen"
    assert Phase.RESOLVING not in [phase for phase, _ in report.phases]
    (result,) = read_lock((workspace.directory / LOCK_NAME).read_bytes(), Path(LOCK_NAME)).environments
    assert result.conda == locked.conda
    assert result.pypi == locked.pypi


def test_beside_what_follows_the_machine_every_locked_package_has_one_version(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, CONFIG)
    locked = dataclasses.replace(plan, lock=environment_of(plan, follows=("torch",)))
    provision(locked, tmp_path)
    manifest = (tmp_path / "bin/manifest.toml").read_text()
    assert manifest == pinned(locked).manifest()
    assert 'pypilib = "==1.0"' in manifest
    assert 'condalib = { version = "==1.0", build = "0" }' in manifest
    assert "--frozen" not in json.loads((tmp_path / "bin/arguments.json").read_text())


class Answering(LoopbackIndex):
    """An index whose every other page is there too, as those of a channel are."""

    def answer(self, path: str) -> tuple[int, str, bytes]:
        return (200, "application/json", b"{}") if path.endswith(".json") else super().answer(path)


def test_a_lock_that_does_not_go_together_with_the_machine_is_left_out_and_that_is_said(
    tmp_path: Path,
) -> None:
    program = stand_in(tmp_path / "bin")
    refusal = 'if "==1.0" in manifest.read_text():\n        raise SystemExit(1)'
    program.write_text(program.read_text().replace('say("WARN", "stand-in at work")', refusal))
    with serving(Answering(index_of_needs(pypilib="").files)) as server:
        settings = lonely_settings(
            tmp_path, COMFY_ENV_PIXI=str(program), PIP_INDEX_URL=f"{server.url}/simple"
        )
        mirrors = {"https://conda.anaconda.org/conda-forge": (server.url,)}
        settings = dataclasses.replace(settings, conda_mirrors=mirrors)
        plan = make_plan(tmp_path, CONFIG, settings)
        locked = dataclasses.replace(plan, lock=environment_of(plan, follows=("torch",)))
        store, report = Store(tmp_path / "store"), RecordingReport()
        workspace = store.environment(plan.environment_id).generation(1)
        workspace.directory.mkdir(parents=True)
        choose_engine(store, settings, report).provision(locked, workspace, report)
    assert any("resolving without it" in line for line in report.lines)
    assert 'condalib = "*"' in (tmp_path / "bin/manifest.toml").read_text()


def test_rattler_reads_the_lock_that_pixi_is_given(engine_tools: EngineTools, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, CONFIG)
    git = {"vcs": {"type": "git", "url": "https://host/b", "commit-id": "0123456789" * 4}}
    packages = (
        pypi("a", "1.0"),
        PypiPackage("b", "2.0", source=git),
        PypiPackage("c", "", source={"directory": {"path": "/some/where", "editable": True}}),
    )
    path = tmp_path / "pixi.lock"
    text = pixi_lock_text(environment_of(plan, pypi=packages), "https://pypi.org/simple")
    path.write_text(text)
    program = (
        "import json, os, pathlib, sys; sys.path.insert(0, sys.argv[1]); import rattler; "
        "lock = rattler.LockFile.from_path(pathlib.Path(sys.argv[2])); "
        "environment = lock.environment('default'); platform = environment.platforms()[0]; "
        "records = environment.conda_repodata_records_for_platform(platform); "
        "packages = environment.pypi_packages_for_platform(platform); "
        "print(json.dumps([sorted(r.name.normalized + r.sha256.hex() for r in records), "
        "sorted([p.name, p.location] for p in packages)]), flush=True); os._exit(0)"
    )
    argv = [sys.executable, "-I", "-c", program, str(engine_tools.directory), str(path)]
    answer = json.loads(subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout)
    assert answer == [
        ["condalib" + "cd" * 32, "python" + "cd" * 32],
        [
            ["a", f"{FILES}/a-1.0-py3-none-any.whl"],
            ["b", f"git+https://host/b#{'0123456789' * 4}"],
            ["c", "/some/where"],
        ],
    ]
    assert [one.name for one in pypi_of_pixi_lock(text)] == ["a", "b", "c"]
    assert pypi_of_pixi_lock(text)[0] == packages[0]
