"""Which lock fits which file and machine, and what a plan becomes with one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from building.engines.samples import make_plan

from comfy_env_core.building.locks.fitting import (
    fitting_environment,
    following,
    is_all_there,
    pinned,
    with_lock,
)
from comfy_env_core.building.locks.lock_file import lock_text
from comfy_env_core.building.locks.model import IndexedFile, Lock, LockedEnvironment, PypiPackage, meaning_of
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.platform import Platform

FILE = 'python = "3.11"\n[pypi-dependencies]\ntrimesh = { version = ">=4", extras = ["easy"] }\n'


def pypi(name: str, version: str, **more: Any) -> PypiPackage:
    filename = f"{name}-{version}-py3-none-any.whl"
    return PypiPackage(name, version, (IndexedFile(filename, f"https://h/{filename}", "ab" * 32),), **more)


def locked(**changes: Any) -> LockedEnvironment:
    packages = (pypi("msgpack", "1.1.2"), pypi("numpy", "2.2.0"), pypi("trimesh", "4.9.0"))
    environment = LockedEnvironment("linux-64", "3.11.9", {"glibc": "2.28"}, (), (), (), packages)
    return dataclasses.replace(environment, **changes)


def plan_on(tmp_path: Path, text: str = FILE, glibc: str | None = "2.36", **changes: Any) -> BuildPlan:
    plan = make_plan(tmp_path, text)
    return dataclasses.replace(plan, platform=Platform("linux-64", glibc=glibc), **changes)


def choice(plan: BuildPlan, *environments: LockedEnvironment) -> LockedEnvironment | str:
    lock = Lock(plan.spec.path.with_name("comfy-env.lock"), meaning_of(plan.spec), environments)
    return fitting_environment(lock, plan)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"platform": "win-64"}, "it holds win-64, and this is linux-64"),
        ({"python": "3.12.1"}, "for Python 3.12, and this environment has 3.11"),
        ({"needs": {"glibc": "2.39"}}, "needs glibc 2.39, and this machine has 2.36"),
        ({"needs": {"cuda": "12.8"}}, "needs cuda 12.8, and this machine has none"),
    ],
)
def test_a_lock_that_does_not_fit_is_named_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    chosen = choice(plan_on(tmp_path), locked(**changes))
    assert isinstance(chosen, str)
    assert reason in chosen


def test_a_lock_of_an_earlier_file_is_said_on_the_plan_and_changes_nothing_of_it(tmp_path: Path) -> None:
    plan = plan_on(tmp_path)
    path = tmp_path / "comfy-env.lock"
    text = lock_text(Lock(path, "0" * 64, (locked(),))).encode()
    same = with_lock(plan, text, path)
    assert same.lock is None
    assert same.environment_id == plan.environment_id
    assert "comfy-env.toml has changed since it was made" in same.notes[-1]


def test_a_lock_that_fits_is_part_of_the_id(tmp_path: Path) -> None:
    plan = plan_on(tmp_path)
    path = tmp_path / "comfy-env.lock"
    ids = set()
    for version in ("2.2.0", "2.2.1"):
        environment = locked(pypi=(pypi("numpy", version),))
        text = lock_text(Lock(path, meaning_of(plan.spec), (environment,))).encode()
        with_it = with_lock(plan, text, path)
        assert with_it.lock == environment
        ids.add(with_it.environment_id)
    assert len({plan.environment_id, *ids}) == 3


def test_the_part_that_needs_more_of_the_machine_comes_first_where_it_fits(tmp_path: Path) -> None:
    for_gpu = locked(needs={"glibc": "2.28", "cuda": "12.4"})
    assert choice(plan_on(tmp_path), locked(), for_gpu) == locked()
    assert choice(plan_on(tmp_path, cuda_tag="cu128"), locked(), for_gpu) == for_gpu


def test_a_file_without_python_takes_a_lock_for_any_release_of_comfyuis_series(tmp_path: Path) -> None:
    plan = plan_on(tmp_path, FILE.replace('python = "3.11"', ""))
    series = ".".join(plan.python.split(".")[:2])
    assert not isinstance(choice(plan, locked(python=f"{series}.99")), str)
    assert isinstance(choice(plan, locked(python="3.99.1")), str)


def test_what_follows_comfyui_and_the_machine_is_resolved_beside_pinned_packages(tmp_path: Path) -> None:
    plan = plan_on(tmp_path, FILE + 'torch = "*"\n', facts=("host.pillow===11.0.0", "platform=linux-64"))
    plan = dataclasses.replace(plan, pypi={**plan.pypi, "pillow": "==11.0.0"})
    assert following(plan) == ("pillow", "torch")
    fixed = dataclasses.replace(plan, lock=locked(follows=("torch",)))
    assert not is_all_there(fixed)
    assert pinned(fixed).pypi == {
        "trimesh": {"version": "==4.9.0", "extras": ["easy"]},
        "torch": plan.pypi["torch"],
        "msgpack": "==1.1.2",
        "pillow": "==11.0.0",
        "numpy": "==2.2.0",
    }
    assert is_all_there(dataclasses.replace(plan_on(tmp_path), lock=locked()))


def test_sources_of_a_lock_are_pinned_to_what_was_locked(tmp_path: Path) -> None:
    vcs = {"type": "git", "url": "https://h/g", "commit-id": "0" * 40, "subdirectory": "s"}
    packages = (
        PypiPackage("g", "1", source={"vcs": vcs}),
        PypiPackage("here", "", source={"directory": {"path": "lib"}}),
        pypi("own", "2.0", index="https://i/simple"),
    )
    text = FILE + 'g = { git = "https://h/g", branch = "main" }\nhere = { path = "lib" }\n'
    plan = plan_on(tmp_path, text + 'own = { version = "*", index = "https://i/simple" }\n')
    fixed = pinned(dataclasses.replace(plan, lock=locked(pypi=packages))).pypi
    assert fixed["g"] == {"git": "https://h/g", "rev": "0" * 40, "subdirectory": "s"}
    assert fixed["here"] == plan.pypi["here"]
    assert fixed["own"] == {"version": "==2.0", "index": "https://i/simple"}
