"""The exact result of a build, kept in its workspace in the form of a lock."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.lock_file import lock_text
from comfy_env_core.building.locks.model import CondaPackage, Lock, LockedEnvironment, PypiPackage, meaning_of
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.user_settings import without_credentials
from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.store import Workspace


def record_result(
    plan: BuildPlan,
    workspace: Workspace,
    python_version: str,
    conda: Iterable[CondaPackage],
    pypi: Iterable[PypiPackage],
) -> Path:
    """Writes what the prefix holds and returns the file. Raises OSError. Addresses are kept without credentials."""
    conda = tuple(map(without_secrets, conda))
    environment = LockedEnvironment(
        platform=plan.platform.name,
        python=python_version,
        needs=cuda_need(conda, plan),
        follows=(),
        channels=tuple(sorted({str(package.record.get("channel", "")) for package in conda} - {""})),
        conda=conda,
        pypi=tuple(sorted(map(_public, pypi), key=lambda package: package.name)),
    )
    path = workspace.directory / LOCK_NAME
    write_atomically(path, lock_text(Lock(path, meaning_of(plan.spec), (environment,))).encode())
    return path


def cuda_need(conda: Iterable[CondaPackage], plan: BuildPlan) -> dict[str, str]:
    """{"cuda": version} if any of the packages runs only where there is an NVIDIA driver."""
    wants_driver = any(name.split()[0] == "__cuda" for package in conda for name in package.depends)
    return {"cuda": plan.cuda_version} if wants_driver and plan.cuda_version else {}


def without_secrets(package: CondaPackage) -> CondaPackage:
    """The package with addresses that anybody may see."""
    record = dict(package.record)
    for key in ("url", "channel"):
        if key in record:
            record[key] = without_credentials(str(record[key]))
    return CondaPackage(record)


def _public(package: PypiPackage) -> PypiPackage:
    files = tuple(dataclasses.replace(file, url=without_credentials(file.url)) for file in package.files)
    index = without_credentials(package.index) if package.index else None
    source = {
        kind: {**table, "url": without_credentials(table["url"])} if "url" in table else table
        for kind, table in package.source.items()
    }
    return dataclasses.replace(package, files=files, index=index, source=source)
