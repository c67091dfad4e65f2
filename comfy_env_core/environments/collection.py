"""Garbage collection in two steps: a plan that says what would go, why, and what it gives back; then the removal.

Between the two a build may begin or a worker start, here or in another process: each thing is judged once more, under
its build lock, before it is removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

from comfy_env_core.environments.atomic import delete_tree, remove_tree
from comfy_env_core.environments.garbage import Garbage, GarbageKind, Kept, Rules, Survey
from comfy_env_core.environments.locks import ProcessLock, build_lock, pypi_lock
from comfy_env_core.environments.removal import EnvironmentBusy, discard, discard_generation, locked
from comfy_env_core.environments.sizes import Measurement, Size, measure_store
from comfy_env_core.environments.store import Environment, Store
from comfy_env_core.environments.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class CollectionPlan:
    """`items` would go, `kept` stays. Nothing is removed by making one."""

    rules: Rules
    items: tuple[Garbage, ...]
    kept: tuple[Kept, ...]
    measurement: Measurement

    def size(self, item: Garbage) -> Size:
        """What it takes, and who shares it: names of other items and of what is kept."""
        return self._sizes.get(item.name, Size(0, 0, {}))

    @functools.cached_property
    def _sizes(self) -> Mapping[str, Size]:
        return self.measurement.sizes()

    def freed_by(self, items: Sequence[Garbage]) -> int:
        """The bytes that come back when these go."""
        return self.measurement.freed_by_removing([item.name for item in items])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`left`: what was planned and did not go, each with the reason."""

    removed: tuple[Garbage, ...]
    left: tuple[tuple[Garbage, str], ...]
    freed_bytes: int


def plan_collection(store: Store, rules: Rules | None = None) -> CollectionPlan:
    """Looks through the whole store: seconds for many gigabytes. Changes nothing."""
    rules = Rules() if rules is None else rules
    found = list(Survey(store, rules).all())
    items = tuple(one for one in found if isinstance(one, Garbage))
    kept = tuple(one for one in found if isinstance(one, Kept))
    return CollectionPlan(rules, items, kept, measure_store(store, {item.name: item.path for item in items}))


def collect(
    store: Store, plan: CollectionPlan, tell: Callable[[Garbage], None] = lambda item: None
) -> Outcome:
    """Removes what `plan` names and nobody has begun to use since; `tell` hears of each that is gone.

    What cannot be removed is left with the reason, and the rest is removed all the same.
    """
    reasons: dict[Garbage, str | None] = {}

    def attempt(item: Garbage, remove: Callable[[], str | None]) -> None:
        try:
            reasons[item] = remove()
        except EnvironmentBusy as error:
            reasons[item] = str(error)
        except OSError as error:
            reasons[item] = f"{error.strerror or error}: {error.filename or item.path}"
        if reasons[item] is None:
            tell(item)

    for item in plan.items:
        if item.environment is not None:
            attempt(
                item, functools.partial(_remove_of_environment, store, plan.rules, item, item.environment)
            )
    judged = tuple(Survey(store, plan.rules).all())
    for item in plan.items:
        if item.environment is None:
            attempt(item, functools.partial(_remove_beside, store, item, judged))
    removed = tuple(item for item in plan.items if reasons[item] is None)
    left = tuple((item, reason) for item, reason in reasons.items() if reason is not None)
    return Outcome(removed, left, plan.freed_by(removed))


def _remove_of_environment(store: Store, rules: Rules, item: Garbage, environment: Environment) -> str | None:
    """None when it is gone, else why it is left. Raises EnvironmentBusy, OSError."""
    with locked(store, environment.id, "removed"):
        judged = tuple(Survey(store, rules, environment.id).of_environment(environment))
        if not _is_garbage_still(item, judged):
            return next((one.reason for one in judged if isinstance(one, Kept)), "it is gone already")
        if item.kind is GarbageKind.ENVIRONMENT:
            discard(environment)
        elif item.kind is GarbageKind.TRASH:
            delete_tree(item.path)
        else:
            discard_generation(Workspace(item.path))
    return None


def _remove_beside(store: Store, item: Garbage, judged: Sequence[Garbage | Kept]) -> str | None:
    """The same for what belongs to no environment. `judged`: what the store looks like now."""
    if not _is_garbage_still(item, judged):
        return "it is needed again, or gone already"
    if item.kind in (GarbageKind.CACHE, GarbageKind.ENGINE):
        with _no_build(store):
            remove_tree(item.path)
    elif item.kind is GarbageKind.TRASH:
        delete_tree(item.path)
    elif item.path.is_dir():
        remove_tree(item.path)
    else:
        item.path.unlink(missing_ok=True)
    return None


def _is_garbage_still(item: Garbage, judged: Sequence[Garbage | Kept]) -> bool:
    return any(isinstance(one, Garbage) and (one.kind, one.path) == (item.kind, item.path) for one in judged)


@contextlib.contextmanager
def _no_build(store: Store) -> Iterator[None]:
    """Holds the locks of all builds. A build of a new environment that begins this moment makes anew what it needs.

    Raises EnvironmentBusy.
    """
    locks: list[ProcessLock] = [pypi_lock(store)]
    locks += [build_lock(store, environment.id) for environment in store.environments()]
    held: list[ProcessLock] = []
    try:
        for lock in locks:
            if not lock.try_acquire():
                raise EnvironmentBusy(
                    f"A build runs (process {lock.holder()}), which needs it.",
                    "Wait for it, then collect again.",
                )
            held.append(lock)
        yield
    finally:
        for lock in held:
            lock.release()
