"""Fetching the packs that packs ask for, and those that these ask for in turn."""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Callable, Iterable
from pathlib import Path

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.config import GitSource, NodeRequirement, RegistrySource
from comfy_env_core.discovery import scan
from comfy_env_core.prerequisites.asked import asked_for, unreadable
from comfy_env_core.prerequisites.packs.addresses import repository_identity
from comfy_env_core.prerequisites.packs.fetched import Fetched
from comfy_env_core.prerequisites.packs.present import PresentPack, difference, find, present_packs
from comfy_env_core.prerequisites.packs.staging import publish, remove_leftovers, staging_directory

#: The pack that manages environments for packs' own installers. Published files ask for it; we take its place, and
#: two managers of the same environments would undo each other's work.
_FORERUNNER = "github.com/pozzettiandrea/comfyui-env-manager"

#: A pack that asks for a pack that asks for a pack …: real ones end after two.
_DEPTH = 8
_PACKS = 40

_DISK_REMEDY = "Make custom_nodes writable for you, with room for the pack, then try again."
_NETWORK_REMEDY = (
    "Check the internet connection, then try again. COMFY_ENV_GITHUB_MIRROR names a mirror of GitHub, "
    "COMFY_ENV_REGISTRY one of the Comfy registry."
)


class Result(enum.Enum):
    """What became of a requirement; the values appear in JSON."""

    FETCHED = "fetched"
    PRESENT = "present"  #: it was there already, and was left alone
    DISABLED = "disabled"  #: it is there, switched off
    REPLACED = "replaced"  #: comfy-env manager does its work
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


def look_for(
    requirement: NodeRequirement, custom_nodes: Path, there: tuple[PresentPack, ...], asked_by: str = ""
) -> Outcome | None:
    """How a requirement is met without fetching anything, None if it is not."""
    source = requirement.source
    if isinstance(source, GitSource) and repository_identity(source.url) == _FORERUNNER:
        text = "comfy-env manager takes its place"
        return Outcome(requirement, asked_by, Result.REPLACED, custom_nodes / requirement.directory, text)
    pack = find(requirement, there)
    if pack is None:
        return None
    result = Result.DISABLED if pack.is_disabled else Result.PRESENT
    return Outcome(requirement, asked_by, result, pack.path, difference(requirement, pack) or "")


def _settle(one: Wanted, custom_nodes: Path, fetch: FetchOne, fetched: int) -> Outcome:
    settled = look_for(one.requirement, custom_nodes, present_packs(custom_nodes), one.asked_by)
    if settled is not None:
        return settled
    target = custom_nodes / one.requirement.directory
    try:
        if one.depth >= _DEPTH or fetched >= _PACKS:
            raise _too_many(one, fetched)
        return _fetch(one, target, fetch)
    except BuildError as error:
        if error.cause is BuildCause.CANCELLED:
            raise
        if isinstance(error.__cause__, OSError) and error.cause in (
            BuildCause.DISK_FULL,
            BuildCause.PERMISSION,
        ):
            # The next pack would meet it as well.
            raise BuildError(error.cause, error.message, _DISK_REMEDY, tail=error.tail) from error
        if error.cause is BuildCause.NETWORK:
            error = BuildError(error.cause, error.message, _NETWORK_REMEDY, tail=error.tail)
        return Outcome(one.requirement, one.asked_by, Result.FAILED, target, error.message, error=error)


def _too_many(one: Wanted, fetched: int) -> BuildError:
    return BuildError(
        BuildCause.CONFLICT,
        f"{one.asked_by!r} asks for {one.requirement.directory!r}: that is pack {fetched + 1} in a chain of "
        f"{one.depth + 1}.",
        "No real pack needs so many. Fetch it by hand if you trust it.",
    )


def _fetch(one: Wanted, target: Path, fetch: FetchOne) -> Outcome:
    with staging_directory(target.parent) as staging:
        # The final name already: git writes it nowhere, but what it says of the directory is read by people.
        directory = staging / one.requirement.directory
        brought = fetch(one.requirement.source, directory)
        publish(directory, target)
    return Outcome(one.requirement, one.asked_by, Result.FETCHED, target, brought.version, brought.notes)


def _asked_for(outcome: Outcome, depth: int) -> tuple[list[Wanted], tuple[str, ...]]:
    """What a pack that has just come asks for, and what is wrong with its files."""
    found = scan(
        (outcome.path.parent,), lambda path: None if path == outcome.path else "it is not the one that came"
    )
    further = [
        Wanted(requirement, pack.name, depth)
        for pack in found.packs
        for requirement in asked_for(found, pack).node_reqs
    ]
    return further, tuple(text for pack in found.packs for text in unreadable(found, pack))
