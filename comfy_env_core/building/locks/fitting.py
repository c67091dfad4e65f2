"""Whether a shipped lock fits: this file, this platform, this machine; and what a plan becomes with it.

The rule. A lock is of the file alone: what follows the machine or its ComfyUI (torch's family, `[cuda]` packages, the
packages that ComfyUI's own code needs) is never in it. Where nothing follows, the environment is built from the lock
and nothing is resolved. Where something does, that is resolved with every locked package pinned. A lock that does not
fit is named in a note, and the build resolves as if there were none; a damaged one is an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.errors import BuildCause
from comfy_env_core.building.indexes import TORCH_FAMILY
from comfy_env_core.building.locks.lock_file import read_lock
from comfy_env_core.building.locks.model import Lock, LockedEnvironment, PypiPackage, meaning_of
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.requirements import normalised_name, normalised_names
from comfy_env_core.config import Requirement
from comfy_env_core.environments.identity import environment_id

#: The causes with which a resolver says that the locked packages and what follows the machine exclude each other.
NOT_TOGETHER = (BuildCause.CONFLICT, BuildCause.NO_MATCHING_WHEEL, BuildCause.NO_SUCH_PACKAGE)
LEFT_OUT = "The lock does not go together with what follows this machine: resolving without it."
_HOST_FACT = "host."


def with_lock(plan: BuildPlan, text: bytes, path: Path) -> BuildPlan:
    """The plan built from the lock in `text` if that fits, else the plan with a note that says why it does not.

    The lock becomes part of the environment's id. Raises ConfigError for a damaged lock.
    """
    chosen = fitting_environment(read_lock(text, path), plan)
    if isinstance(chosen, str):
        note = f"{path.name} is not used: {chosen}. Everything is resolved anew; its author can run the lock command."
        return dataclasses.replace(plan, notes=(*plan.notes, note), unused_lock=note)
    facts = tuple(sorted((*plan.facts, f"lock={chosen.digest}")))
    note = f"Built from {path.name}: exactly the packages named there"
    note += f", beside {', '.join(still_open(plan, chosen))}." if still_open(plan, chosen) else "."
    return dataclasses.replace(
        plan,
        environment_id=environment_id(plan.spec.source, facts),
        lock=chosen,
        facts=facts,
        notes=(*plan.notes, note),
    )


def fitting_environment(lock: Lock, plan: BuildPlan) -> LockedEnvironment | str:
    """The part of the lock for this plan, the one that needs most of the machine first; else the reason against it."""
    if lock.meaning != meaning_of(plan.spec):
        return f"{plan.spec.path.name} has changed since it was made"
    mine = [environment for environment in lock.environments if environment.platform == plan.platform.name]
    if not mine:
        held = ", ".join(sorted({environment.platform for environment in lock.environments})) or "nothing"
        return f"it holds {held}, and this is {plan.platform.name}"
    reasons = []
    for environment in sorted(mine, key=lambda environment: -len(environment.needs)):
        reason = _objection(environment, plan)
        if reason is None:
            return environment
        reasons.append(reason)
    return "; ".join(reasons)


def following(plan: BuildPlan) -> tuple[str, ...]:
    """The plan's PyPI packages that depend on the machine or its ComfyUI, as normalised names, sorted."""
    of_host = {
        fact.partition("=")[0].removeprefix(_HOST_FACT) for fact in plan.facts if fact.startswith(_HOST_FACT)
    }
    of_machine = {*TORCH_FAMILY, *normalised_names(plan.spec.cuda_packages)}
    return tuple(sorted(normalised_names(plan.pypi) & (of_host | of_machine)))


def still_open(plan: BuildPlan, locked: LockedEnvironment) -> tuple[str, ...]:
    """What has to be resolved beside the lock."""
    held = {package.name for package in locked.pypi}
    return tuple(name for name in following(plan) if name not in held)


def is_all_there(plan: BuildPlan) -> bool:
    """Whether the plan's lock is everything: nothing is asked of any resolver."""
    return plan.lock is not None and plan.lock.is_complete and not still_open(plan, plan.lock)


def pinned(plan: BuildPlan) -> BuildPlan:
    """The plan with each locked package as an exact requirement, for a resolver that finds the rest."""
    locked = plan.lock
    if locked is None:
        return plan
    pypi: dict[str, Requirement] = {}
    held = {package.name: package for package in locked.pypi}
    for name, requirement in plan.pypi.items():
        package = held.pop(normalised_name(name), None)
        pypi[name] = requirement if package is None else pin(package, requirement)
    pypi.update({name: pin(package, "*") for name, package in held.items()})
    conda = {
        package.name: {"version": f"=={package.version}", "build": str(package.record["build"])}
        for package in locked.conda
        if package.name != "python"
    }
    return dataclasses.replace(plan, python=locked.python, pypi=pypi, conda=conda or plan.conda)


def pin(package: PypiPackage, requirement: Requirement) -> Requirement:
    """The file's requirement on a locked package, left without a choice."""
    table = {"version": requirement} if isinstance(requirement, str) else dict(requirement)
    kept: dict[str, object] = {"extras": table["extras"]} if table.get("extras") else {}
    vcs, directory = package.source.get("vcs"), package.source.get("directory")
    if vcs:
        folder = {"subdirectory": vcs["subdirectory"]} if vcs.get("subdirectory") else {}
        return {"git": vcs["url"], "rev": vcs["commit-id"], **folder, **kept}
    if directory or "archive" in package.source:
        return requirement
    if package.index:
        kept["index"] = package.index
    return {"version": f"=={package.version}", **kept} if kept else f"=={package.version}"


def _objection(environment: LockedEnvironment, plan: BuildPlan) -> str | None:
    series = ".".join(environment.python.split(".")[:2])
    if not _accepts_python(plan, environment.python):
        return f"it is for Python {series}, and this environment has {plan.python}"
    offered: Mapping[str, str | None] = {
        "glibc": plan.platform.glibc,
        "macos": plan.platform.macos,
        "cuda": plan.cuda_version,
    }
    for name, wanted in environment.needs.items():
        found = offered.get(name)
        if found is None or _numbers(found) < _numbers(wanted):
            return f"it needs {name} {wanted}, and this machine has {found or 'none'}"
    return None


def _accepts_python(plan: BuildPlan, version: str) -> bool:
    """Where the file names no Python it is ComfyUI's series that counts, not the last digit."""
    wanted = plan.python if plan.python_pinned else ".".join(plan.python.split(".")[:2])
    if version.count(".") == 1 and re.fullmatch(r"\d+\.\d+\.\d+", wanted):
        wanted = ".".join(
            wanted.split(".")[:2]
        )  # a lock without an interpreter leaves the release to the build
    return PythonWanted(wanted).accepts(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
