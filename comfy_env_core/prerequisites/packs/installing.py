"""Fetching the packs that packs ask for, and those that these ask for in turn."""

from __future__ import annotations

import collections
import dataclasses
import enum
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.report import Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import ConfigError, GitSource, NodeRequirement, RegistrySource, parse_root
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.cloning import Cloning
from comfy_env_core.prerequisites.packs.fetched import Fetched
from comfy_env_core.prerequisites.packs.git import Git
from comfy_env_core.prerequisites.packs.present import difference, find, present_packs
from comfy_env_core.prerequisites.packs.registry import Registry
from comfy_env_core.prerequisites.packs.staging import publish, remove_leftovers, staging_directory

ROOT_FILE_NAME = "comfy-env-root.toml"

#: A pack that asks for a pack that asks for a pack …: real ones end after two.
_DEPTH = 8
_PACKS = 40

_NETWORK_REMEDY = (
    "Check the internet connection, then try again. COMFY_ENV_GITHUB_MIRROR names a mirror of GitHub, "
    "COMFY_ENV_REGISTRY one of the Comfy registry."
)


class Result(enum.Enum):
    """What became of a requirement; the values appear in JSON."""

    FETCHED = "fetched"
    PRESENT = "present"  #: it was there already, and was left alone
    DISABLED = "disabled"  #: it is there, switched off
    FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`path`: where the pack is, or would be. `text`: the version that came, how the one that is there differs, or why
    nothing came. `error` is set for FAILED alone."""

    requirement: NodeRequirement
    asked_by: str
    result: Result
    path: Path
    text: str = ""
    notes: tuple[str, ...] = ()
    error: BuildError | None = None


@dataclasses.dataclass(frozen=True)
class Wanted:
    """`asked_by` is the pack; `depth` 0 for those of packs that were there before."""

    requirement: NodeRequirement
    asked_by: str
    depth: int = 0


FetchOne = Callable[[GitSource | RegistrySource, Path], Fetched]


def fetch_packs(
    wanted: Iterable[Wanted], custom_nodes: Path, fetch: FetchOne, tell: Callable[[Outcome], None]
) -> tuple[Outcome, ...]:
    """Fetches what is missing into `custom_nodes`, and what the fetched packs ask for in turn; each outcome is told.

    One that fails stops none of the others. A pack that is there, under its name or another, is left alone whatever
    its version: so a circle of packs ends by itself. Raises BuildError (CANCELLED), and DISK_FULL or PERMISSION where
    custom_nodes cannot be written.
    """
    remove_leftovers(custom_nodes)
    waiting = collections.deque(wanted)
    outcomes: list[Outcome] = []
    tried: set[NodeRequirement] = set()
    while waiting:
        one = waiting.popleft()
        if one.requirement in tried:
            continue
        tried.add(one.requirement)
        outcome = _settle(one, custom_nodes, fetch, fetched=sum(o.result is Result.FETCHED for o in outcomes))
        if outcome.result is Result.FETCHED:
            further, problem = _asked_for(outcome, one.depth + 1)
            waiting.extend(further)
            outcome = dataclasses.replace(outcome, notes=(*outcome.notes, *problem))
        outcomes.append(outcome)
        tell(outcome)
    return tuple(outcomes)


def fetcher_of_packs(addresses: Addresses, settings: UserSettings, report: Report) -> FetchOne:
    """Fetches from where the source is, with the user's network settings."""
    fetcher = Fetcher(settings, check=report.check)

    def fetch(source: GitSource | RegistrySource, directory: Path) -> Fetched:
        if isinstance(source, RegistrySource):
            return Registry(addresses, fetcher).fetch(source, directory, report)
        return Cloning(Git(addresses, settings, report), addresses, fetcher, report).fetch(source, directory)

    return fetch


def _settle(one: Wanted, custom_nodes: Path, fetch: FetchOne, fetched: int) -> Outcome:
    target = custom_nodes / one.requirement.directory
    there = find(one.requirement, present_packs(custom_nodes))
    if there is not None:
        result = Result.DISABLED if there.is_disabled else Result.PRESENT
        text = difference(one.requirement, there) or ""
        return Outcome(one.requirement, one.asked_by, result, there.path, text)
    if one.depth >= _DEPTH or fetched >= _PACKS:
        error = BuildError(
            BuildCause.CONFLICT,
            f"{one.asked_by!r} asks for {one.requirement.directory!r}: that is pack {fetched + 1} in a chain of "
            f"{one.depth + 1}.",
            "No real pack needs so many. Fetch it by hand if you trust it.",
        )
        return Outcome(one.requirement, one.asked_by, Result.FAILED, target, error.message, error=error)
    try:
        return _fetch(one, target, fetch)
    except BuildError as error:
        if error.cause in (BuildCause.CANCELLED, BuildCause.DISK_FULL, BuildCause.PERMISSION) and _is_ours(
            error
        ):
            raise
        if error.cause is BuildCause.NETWORK:
            error = BuildError(error.cause, error.message, _NETWORK_REMEDY, tail=error.tail)
        return Outcome(one.requirement, one.asked_by, Result.FAILED, target, error.message, error=error)


def _is_ours(error: BuildError) -> bool:
    """Whether the failure is one of this machine, which the next pack would meet as well."""
    return error.cause is BuildCause.CANCELLED or isinstance(error.__cause__, OSError)


def _fetch(one: Wanted, target: Path, fetch: FetchOne) -> Outcome:
    with staging_directory(target.parent) as staging:
        # The final name already: git writes it nowhere, but what it says of the directory is read by people.
        directory = staging / one.requirement.directory
        brought = fetch(one.requirement.source, directory)
        publish(directory, target)
    return Outcome(one.requirement, one.asked_by, Result.FETCHED, target, brought.version, brought.notes)


def _asked_for(outcome: Outcome, depth: int) -> tuple[list[Wanted], tuple[str, ...]]:
    """What a pack that has just come asks for, and what is wrong with its file."""
    path = outcome.path / ROOT_FILE_NAME
    if not os.path.isfile(path):
        return [], ()
    try:
        spec = parse_root(path.read_bytes(), path)
    except (ConfigError, OSError) as error:
        return [], (f"what it asks for in turn cannot be read: {error}",)
    name = outcome.requirement.directory
    return [Wanted(requirement, name, depth) for requirement in spec.prerequisites.node_reqs], ()
