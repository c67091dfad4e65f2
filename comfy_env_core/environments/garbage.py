"""What in the store nobody needs any more: rules that look and change nothing."""

from __future__ import annotations

import dataclasses
import enum
import json
import time
from collections.abc import Iterator
from pathlib import Path

from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.installs import DamagedInstall, Install, read_installs
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.store import Store
from comfy_env_core.environments.usage import Processes
from comfy_env_core.environments.workspace import PREFIX_OF_NAME, Workspace

DAY_S = 86400.0


class GarbageKind(enum.Enum):
    ENVIRONMENT = "environment"  #: no ComfyUI of this machine uses it
    BUILD = "earlier build"  #: kept for rolling back
    UNFINISHED = "unfinished build"  #: of a build that failed or was killed
    TRASH = "trash"  #: of a removal that was interrupted
    RECORD = "record"  #: of an environment or a ComfyUI that is gone
    ENGINE = "engine"  #: what builds environments, of an earlier version of us
    CACHE = "cache"  #: downloads; environments share files with it by hard links and need it no more


@dataclasses.dataclass(frozen=True)
class Garbage:
    """`name`: its path below the store, for people. `environment`: the one that it is or belongs to."""

    kind: GarbageKind
    path: Path
    name: str
    reason: str
    environment: Environment | None = None


@dataclasses.dataclass(frozen=True)
class Kept:
    """What stays, and why."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Rules:
    """- `unused_for_s`: what was used or built more recently stays, whoever needs it.
    - `caches`: whether the package caches go too; what is built next is downloaded again then.
    - `engines`: the names of the engines' directories that are needed; None: nobody says, so all of them stay.
    """

    unused_for_s: float = 7 * DAY_S
    caches: bool = False
    engines: frozenset[str] | None = None


class Survey:
    """The store at one moment: who uses what. `ignore_lock_of`: an environment whose build lock is our own."""

    def __init__(self, store: Store, rules: Rules, ignore_lock_of: str | None = None) -> None:
        self.store = store
        self._rules = rules
        self._ignore_lock_of = ignore_lock_of
        self._now = time.time()
        self._processes = Processes()
        self._damaged: DamagedInstall | None = None
        self._installs: tuple[Install, ...] = ()
        try:
            self._installs = read_installs(store)
        except DamagedInstall as error:
            self._damaged = error

    def all(self) -> Iterator[Garbage | Kept]:
        """Everything that somebody could want to remove. Environments come before what belongs to them."""
        staying = set()
        for environment in self.store.environments():
            found = list(self.of_environment(environment))
            if not any(isinstance(one, Garbage) and one.kind is GarbageKind.ENVIRONMENT for one in found):
                staying.add(environment.id)
            yield from found
        yield from self.beside_environments(staying)

    def of_environment(self, environment: Environment) -> Iterator[Garbage | Kept]:
        """The environment itself, if nobody uses it, else what it does not need, and why it stays."""
        if (environment.directory / ".pixi").exists():
            yield Kept(environment.id, "its layout is not ours: another tool or an early version made it")
            return
        building = self._is_built_now(environment)
        why_needed = building or self._why_needed(environment)
        if why_needed is None:
            yield self._garbage(
                GarbageKind.ENVIRONMENT, environment.directory, self._why_unused(environment.id), environment
            )
            return
        yield Kept(environment.id, why_needed)
        if building is None:
            yield from self._of_generations(environment)
            yield from self._trash_in(environment.directory, environment)

    def beside_environments(self, staying: set[str]) -> Iterator[Garbage]:
        """Trash, records and caches. `staying`: the ids of environments that are there and are not removed."""
        known = staying | {id_ for install in self._installs if install.is_there() for id_ in install.uses}
        yield from self._trash_in(self.store.root)
        yield from self._trash_in(self.store.cache_dir)
        if self._damaged is None:
            yield from self._records(known)
        for install in self._installs:
            if not install.is_there() and not self._is_recent(install.recorded_at):
                places = ", ".join(map(str, install.custom_nodes))
                yield self._garbage(GarbageKind.RECORD, install.path, f"its ComfyUI is gone: {places}")
        yield from self._engines()
        if self._rules.caches and self.store.cache_dir.is_dir():
            for cache in sorted(self.store.cache_dir.iterdir()):
                if cache.name != "pycache" and not cache.name.startswith("."):
                    reason = "downloads; what is built next is downloaded again"
                    yield self._garbage(GarbageKind.CACHE, cache, reason)

    def _engines(self) -> Iterator[Garbage]:
        if self._rules.engines is None:
            return
        for path in sorted(self.store.engines_dir.glob("[!.]*")):
            is_needed = path.name in self._rules.engines or bool(self._processes.inside(path))
            if not is_needed and not self._is_recent(_mtime(path)):
                yield self._garbage(GarbageKind.ENGINE, path, "of an earlier version; this one has its own")

    def _records(self, known: set[str]) -> Iterator[Garbage]:
        for path in sorted(self.store.descriptions_dir.glob("*.json")):
            id_ = _environment_of_description(path)
            if id_ is not None and id_ not in known:
                reason = f"describes nodes in {id_}, which no ComfyUI uses any more"
                yield self._garbage(GarbageKind.RECORD, path, reason)
        for path in sorted((self.store.cache_dir / "pycache").glob("*")):
            if path.name not in known:
                reason = f"bytecode for {path.name}, which no ComfyUI uses any more"
                yield self._garbage(GarbageKind.RECORD, path, reason)

    def _is_built_now(self, environment: Environment) -> str | None:
        if environment.id == self._ignore_lock_of or not self.store.locks_dir.is_dir():
            return None
        holder = build_lock(self.store, environment.id).holder()
        return f"is being built by process {holder}" if holder is not None else None

    def _why_needed(self, environment: Environment) -> str | None:
        processes = self._processes.inside(environment.directory)
        if processes:
            return f"in use: {', '.join(map(str, processes))}"
        if self._damaged is not None:
            return f"nobody knows who uses it: {self._damaged}"
        for install in self._installs:
            if install.is_there() and install.uses_now(environment.id):
                return f"used by the ComfyUI of {install.custom_nodes[0]}"
        # Of those that are gone too: a disk that is not connected today may be tomorrow.
        used = [one.uses[environment.id].used_at for one in self._installs if environment.id in one.uses]
        for what, at in (("used", max(used, default=0.0)), ("built", _built_at(environment))):
            if self._is_recent(at):
                return f"{what} {_days(self._now - at)}"
        return None

    def _why_unused(self, environment_id: str) -> str:
        earlier = [install for install in self._installs if environment_id in install.uses]
        if not earlier:
            return "no ComfyUI of this machine uses it"
        last = max(earlier, key=lambda install: install.uses[environment_id].used_at)
        where, ago = last.custom_nodes[0], _days(self._now - last.uses[environment_id].used_at)
        return (
            f"its ComfyUI is gone: {where}" if not last.is_there() else f"used {ago} by {where}, not any more"
        )

    def _of_generations(self, environment: Environment) -> Iterator[Garbage]:
        current, previous = environment.current(), environment.previous()
        for workspace in environment.generations():
            if workspace == current or self._processes.inside(workspace.directory):
                continue
            if not workspace.is_done():
                yield self._of_generation(GarbageKind.UNFINISHED, workspace, "its build failed or was killed")
            elif workspace != previous and current is not None:
                yield self._of_generation(GarbageKind.BUILD, workspace, "nothing leads to it any more")
            elif workspace == previous and not self._is_recent(_mtime(environment.pointer_path)):
                ago = _days(self._now - _mtime(environment.pointer_path))
                yield self._of_generation(
                    GarbageKind.BUILD, workspace, f"replaced {ago}; kept for rolling back"
                )

    def _of_generation(self, kind: GarbageKind, workspace: Workspace, reason: str) -> Garbage:
        return self._garbage(kind, workspace.directory, reason, Environment.of(workspace))

    def _trash_in(self, directory: Path, environment: Environment | None = None) -> Iterator[Garbage]:
        for path in sorted(directory.glob(".*.trash")):
            yield self._garbage(GarbageKind.TRASH, path, "its removal was interrupted", environment)

    def _garbage(
        self, kind: GarbageKind, path: Path, reason: str, environment: Environment | None = None
    ) -> Garbage:
        name = path.relative_to(self.store.root).as_posix().removeprefix(PREFIX_OF_NAME)
        return Garbage(kind, path, name, reason, environment)

    def _is_recent(self, at: float) -> bool:
        return self._now - at < self._rules.unused_for_s


def _environment_of_description(path: Path) -> str | None:
    """The one field of a site's record that matters here (`sites.record`); None for what cannot be read."""
    try:
        id_ = json.loads(path.read_bytes())["environment_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return id_ if isinstance(id_, str) else None


def _built_at(environment: Environment) -> float:
    """When its last build ended or began, in seconds since 1970."""
    return max(_mtime(environment.pointer_path), _mtime(environment.log_path), _mtime(environment.directory))


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _days(seconds: float) -> str:
    days = int(seconds // DAY_S)
    return "today" if days < 1 else "a day ago" if days == 1 else f"{days} days ago"
