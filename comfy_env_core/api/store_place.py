"""Where the store lies, where it could, and `POST /comfy-env/store/move`."""

from __future__ import annotations

import threading
from typing import TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import BUSY, NOT_POSSIBLE, UNKNOWN_PLACE
from comfy_env_core.api.work import Accepted, Work, WorkFailed
from comfy_env_core.building.relocation import relocate
from comfy_env_core.building.report import QuietReport
from comfy_env_core.environments.disks import StorePlace, store_places
from comfy_env_core.environments.links import is_link
from comfy_env_core.environments.moving import MoveRefused
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import ROOT_VARIABLE, default_root

_KIND = "move-store"
_UNDER_WAY = (EnvironmentState.QUEUED, EnvironmentState.BUILDING, EnvironmentState.VERIFYING)


class PlaceJson(TypedDict):
    """A directory on a disk that the store could be moved to. `is_current`: it lies there now."""

    id: str
    path: str
    free_bytes: int | None
    total_bytes: int | None
    is_current: bool


class StorePlaceJson(TypedDict):
    """- `root`: the path that environments work by, which stays the same wherever their files lie.
    - `default_root`: where it is if nobody says.
    - `is_link`: it was moved, and `root` leads to where the files lie.
    - `fixed_by`: the environment variable that names the place; then it cannot be moved from here.
    """

    root: str
    default_root: str
    is_link: bool
    fixed_by: str | None
    places: list[PlaceJson]


class MoveBody(TypedDict):
    """`place`: the id of one of the `store.places` of the settings."""

    place: str


class Moved(TypedDict):
    """The result of the job. `built_anew`: environments that start at the old place only; the next start makes them."""

    lies_at: str
    built_anew: list[str]


def operations(backend: Backend) -> list[Operation]:
    return [
        Operation(
            "POST",
            "/store/move",
            StoreMoves(backend).begin,
            Accepted,
            body=MoveBody,
            status=202,
            result=Moved,
            refusals=(UNKNOWN_PLACE, BUSY, NOT_POSSIBLE),
            tag="settings",
        )
    ]


def show_place(backend: Backend) -> StorePlaceJson:
    root = backend.store.root
    lies_at = root.resolve()
    return {
        "root": str(root),
        "default_root": str(default_root()),
        "is_link": is_link(root),
        "fixed_by": _fixed_by(backend),
        "places": [
            {
                "id": place.id,
                "path": str(place.path),
                "free_bytes": place.free_bytes,
                "total_bytes": place.total_bytes,
                "is_current": place.path.resolve() == lies_at and not (is_link(root) and place.path == root),
            }
            for place in store_places(backend.store)
        ],
    }


class StoreMoves:
    """One move at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._beginning = threading.Lock()

    def begin(self, ask: Ask) -> Accepted:
        """Moves all environments and caches to another disk; every ComfyUI goes on by the old path, which leads there.

        Nothing is built anew. Refused while anything is built or runs; workers that have nothing to do are ended. An
        interrupted move leaves the store where it is, and the next one goes on where it stopped. The job's result is
        `{"lies_at", "built_anew": [environment ids]}`.
        """
        place = self._find(ask.body["place"])
        variable = _fixed_by(self._backend)
        if variable is not None:
            raise NOT_POSSIBLE.because(
                f"The environment variable {variable} names the place of the store, so it cannot be moved from here.",
                f"End ComfyUI and move it with `python -m comfy_env_core move-store DIRECTORY`, or change {variable}.",
            )
        with self._beginning:
            self._ensure_at_rest()
            return self._backend.works.begin(
                _KIND, place.id, lambda work: self._move(work, place), can_cancel=False
            )

    def _find(self, place_id: str) -> StorePlace:
        for place in store_places(self._backend.store):
            if place.id == place_id:
                return place
        raise UNKNOWN_PLACE.because(
            f"There is no place {place_id!r} for the store.",
            "GET /comfy-env/settings lists them under `store.places`.",
        )

    def _ensure_at_rest(self) -> None:
        """Raises Refused. Ends the workers that have nothing to do."""
        manager = self._backend.manager
        if any(job["kind"] == _KIND and job["state"] == "running" for job in self._backend.works.all()):
            raise BUSY.because("The store is being moved already.", "Wait until that is done.")
        building = [build for build in manager.builds() if build.state in _UNDER_WAY]
        if building:
            raise BUSY.because(
                f"Being built: {', '.join(build.environment_id for build in building)}.",
                "Wait until that is done, or cancel it.",
            )
        for worker in manager.workers.all_running():
            site_id = worker.spec.site_id
            if not manager.workers.end_if_idle(site_id, "the store is moved to another disk"):
                raise BUSY.because(
                    f"The worker of {site_id} works, or ComfyUI holds its objects.",
                    'Wait for it, choose "Unload Models and Execution Cache", or stop it.',
                )

    def _move(self, work: Work, place: StorePlace) -> Moved:
        def tell(text: str, copied_bytes: int, total_bytes: int) -> None:
            work.report(text, 100.0 * copied_bytes / total_bytes if total_bytes else None)

        store = self._backend.store
        tell("looking whether everything is at rest", 0, 0)
        try:
            failed = relocate(store, place.path, tell, QuietReport())
        except MoveRefused as refused:
            raise WorkFailed("refused", str(refused), "") from refused
        except OSError as error:
            where = error.filename or str(place.path)
            raise WorkFailed(
                "disk",
                f"Moving the store to {str(place.path)!r} stopped at {where!r}: {error.strerror or error}.",
                "The environments go on where they are. Move it again: it goes on where it stopped. If a file stays in "
                "use, end ComfyUI and run `python -m comfy_env_core move-store` instead.",
            ) from error
        finally:
            self._backend.feed.settings_changed()
        return {"lies_at": str(store.root.resolve()), "built_anew": list(failed)}


def _fixed_by(backend: Backend) -> str | None:
    return ROOT_VARIABLE if backend.environ.get(ROOT_VARIABLE, "").strip() else None
