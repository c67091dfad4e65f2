"""What the environments take on the disk, and giving back what nobody needs."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.status import store_json
from comfy_env_core.api.work import Accepted, Work
from comfy_env_core.building.engines.needed import needed_engines
from comfy_env_core.environments.collection import CollectionPlan, collect, plan_collection
from comfy_env_core.environments.garbage import Garbage, GarbageKind, Kept, Rules
from comfy_env_core.environments.sizes import Size
from comfy_env_core.environments.store import is_id


class OwnerJson(TypedDict):
    """What holds files. Owners share files by hard links.

    - `unique_bytes` come back when it is removed; others hold the `shared_bytes` too.
    - `packs`: of an environment, those of this ComfyUI that use it.
    """

    name: str
    kind: Literal["environment", "cache", "other"]
    unique_bytes: int
    shared_bytes: int
    packs: list[str]


class DiskJson(TypedDict):
    """The store and its disk. `used_bytes`: of the store, each file counted once. `owners`: the largest first."""

    measured_at: float
    root: str
    free_bytes: int | None
    total_bytes: int | None
    used_bytes: int
    owners: list[OwnerJson]


class GarbageJson(TypedDict):
    """What would go, and why. `size_bytes` come back if it goes alone; `kind` is for people."""

    kind: str
    name: str
    reason: str
    size_bytes: int


class KeptJson(TypedDict):
    """What stays, and why."""

    name: str
    reason: str


class GcPreview(TypedDict):
    """`freed_bytes` come back when all `items` go: more than each alone, since they share."""

    items: list[GarbageJson]
    kept: list[KeptJson]
    freed_bytes: int


class Collected(TypedDict):
    """The result of collecting. `left`: what could not be removed, and why."""

    freed_bytes: int
    removed: list[str]
    left: list[KeptJson]


class DiskQuery(TypedDict, total=False):
    """`fresh`: measure anew although nothing was built or removed since the last time."""

    fresh: bool


class GcQuery(TypedDict, total=False):
    """`caches`: with the package caches; what is built next is downloaded again then."""

    caches: bool


class GcBody(TypedDict):
    """`caches`: with the package caches; what is built next is downloaded again then."""

    caches: bool


def operations(backend: Backend) -> list[Operation]:
    disk, garbage = Disk(backend), GarbageCollection(backend)
    return [
        Operation("GET", "/disk", disk.show, answer=DiskJson, query=DiskQuery, tag="disk"),
        Operation("GET", "/gc", garbage.preview, answer=GcPreview, query=GcQuery, tag="disk"),
        Operation(
            "POST",
            "/gc",
            garbage.collect,
            answer=Accepted,
            body=GcBody,
            status=202,
            result=Collected,
            tag="disk",
        ),
    ]


class Disk:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def show(self, ask: Ask) -> DiskJson:
        """What the environments take, and what they share with each other and with the package caches.

        Measuring takes seconds for many gigabytes; the outcome is remembered until something was built or removed.
        """
        store = self._backend.store
        measured = self._backend.measuring.measure(store, fresh=ask.query.get("fresh", False))
        place = store_json(store)
        owners = [self._owner(name, size) for name, size in measured.sizes.items()]
        return {
            "measured_at": measured.measured_at,
            "root": place["root"],
            "free_bytes": place["free_bytes"],
            "total_bytes": place["total_bytes"],
            "used_bytes": measured.used_bytes,
            "owners": sorted(owners, key=lambda owner: owner["unique_bytes"], reverse=True),
        }

    def _owner(self, name: str, size: Size) -> OwnerJson:
        kind: Literal["environment", "cache", "other"] = "cache" if name.startswith("cache/") else "other"
        users = self._backend.manager.users_of(name) if is_id(name) else []
        return {
            "name": name,
            "kind": "environment" if is_id(name) else kind,
            "unique_bytes": size.unique_bytes,
            "shared_bytes": size.shared_bytes,
            "packs": list(dict.fromkeys(runtime.site.pack.name for runtime in users)),
        }


class GarbageCollection:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def preview(self, ask: Ask) -> GcPreview:
        """What collecting would remove, why, and what it gives back. Removes nothing.

        Nothing goes that is being built, that a process runs in, that a ComfyUI of this machine used the last time it
        was started, or that was used or built in the last seven days.
        """
        plan = self._plan(ask.query.get("caches", False))
        return {
            "items": [
                {
                    "kind": item.kind.value,
                    "name": item.name,
                    "reason": item.reason,
                    "size_bytes": plan.size(item).unique_bytes,
                }
                for item in plan.items
            ],
            "kept": [{"name": kept.name, "reason": kept.reason} for kept in plan.kept],
            "freed_bytes": plan.freed_by(plan.items),
        }

    def collect(self, ask: Ask) -> Accepted:
        """Removes what nobody needs, each thing judged once more at that moment.

        The job (kind "collect") has the result `{"freed_bytes", "removed": [name], "left": [{"name", "reason"}]}`.
        Cancelling it keeps what is still there.
        """
        caches: bool = ask.body["caches"]
        return self._backend.works.begin(
            "collect", "caches" if caches else "", lambda work: self._collect(work, caches)
        )

    def _collect(self, work: Work, caches: bool) -> Collected:
        work.report("looking for what nobody needs")
        plan = self._plan(caches)
        work.check()
        gone = 0

        def tell(item: Garbage) -> None:
            nonlocal gone
            gone += 1
            if item.environment is not None:
                self._backend.feed.environment_changed(item.environment.id)
            work.check()
            work.report(f"removed {item.name}", 100 * gone / len(plan.items))

        outcome = collect(self._backend.store, plan, tell)
        return {
            "freed_bytes": outcome.freed_bytes,
            "removed": [item.name for item in outcome.removed],
            "left": [{"name": item.name, "reason": reason} for item, reason in outcome.left],
        }

    def _plan(self, caches: bool) -> CollectionPlan:
        """Without what packs of this very ComfyUI use, which may have no record of its own."""
        store = self._backend.store
        plan = plan_collection(store, Rules(caches=caches, engines=needed_engines(store)))
        used = {item: reason for item in plan.items if (reason := self._why_used(item)) is not None}
        if not used:
            return plan
        kept = (*plan.kept, *(Kept(item.name, reason) for item, reason in used.items()))
        return dataclasses.replace(plan, items=tuple(one for one in plan.items if one not in used), kept=kept)

    def _why_used(self, item: Garbage) -> str | None:
        if item.kind is not GarbageKind.ENVIRONMENT or item.environment is None:
            return None
        users = self._backend.manager.users_of(item.environment.id)
        return f"used by {', '.join(runtime.id for runtime in users)}" if users else None
