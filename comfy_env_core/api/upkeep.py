"""What can be done to environments: build, build anew, cancel, roll back, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.environments import EnvironmentJson, Environments
from comfy_env_core.api.jobs import Cancelled
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import BUSY, DISK, NOT_POSSIBLE, UNKNOWN_ENVIRONMENT, UNKNOWN_SITE, Refused
from comfy_env_core.api.schema import Length
from comfy_env_core.api.site_builds import Settled, SiteBuilds
from comfy_env_core.api.work import Accepted, Work
from comfy_env_core.building.errors import disk_error
from comfy_env_core.environments.atomic import remove_trash
from comfy_env_core.environments.environment import NothingToRollBackTo
from comfy_env_core.environments.removal import EnvironmentBusy
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Environment
from comfy_env_core.sites.runtime import SiteRuntime

SiteIds = Annotated[list[Annotated[str, Length(1000)]], Length(1000, 1)]


class BuildBody(TypedDict, total=False):
    """`sites`: ids; left out: all that are not ready."""

    sites: SiteIds


class RebuildBody(TypedDict):
    """`sites`: ids."""

    sites: SiteIds


class RolledBack(TypedDict):
    """The environment as it is now."""

    environment: EnvironmentJson


class Deleted(TypedDict):
    """The result of deleting. `left`: names below the store of what the disk did not give up yet; GET /gc shows it."""

    left: list[str]


def operations(backend: Backend) -> list[Operation]:
    upkeep = Upkeep(backend)
    ids = {"environment_id": "The id of an environment, 8 hex digits."}
    one = "/environments/{environment_id}"
    unknown = UNKNOWN_ENVIRONMENT

    def work(method: Any, path: str, handler: Any, result: Any, **more: Any) -> Operation:
        """Any: as `Operation` declares them."""
        return Operation(method, path, handler, Accepted, status=202, result=result, tag="upkeep", **more)

    return [
        work("POST", "/build", upkeep.build, Settled, body=BuildBody, refusals=(UNKNOWN_SITE,)),
        work("POST", "/rebuild", upkeep.rebuild, Settled, body=RebuildBody, refusals=(UNKNOWN_SITE,)),
        work(
            "POST",
            f"{one}/rebuild",
            upkeep.rebuild_environment,
            Settled,
            ids=ids,
            refusals=(unknown, NOT_POSSIBLE),
        ),
        Operation(
            "POST", f"{one}/cancel", upkeep.cancel, Cancelled, ids, refusals=(unknown, DISK), tag="upkeep"
        ),
        Operation(
            "POST",
            f"{one}/roll-back",
            upkeep.roll_back,
            RolledBack,
            ids,
            refusals=(unknown, BUSY, NOT_POSSIBLE, DISK),
            tag="upkeep",
        ),
        work("DELETE", one, upkeep.delete, Deleted, ids=ids, refusals=(unknown, BUSY, NOT_POSSIBLE, DISK)),
    ]


class Upkeep:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._upkeep = backend.manager.upkeep
        self._builds = SiteBuilds(backend.manager)
        self._environments = Environments(backend)

    def build(self, ask: Ask) -> Accepted:
        """Builds environments that are missing and imports the nodes, by what the packs' files say now.

        Also where building at start is off. The job (kind "build") ends when all of these sites are ready or failed,
        with the result `{"sites": {id: state}, "later": [id]}`. It fails with the cause of the first that failed.
        Cancelling it cancels the builds.
        """
        if "sites" in ask.body:
            return self._begin("build", self._sites(ask.body["sites"]), ask.body["sites"])
        runtimes = self._backend.manager.sites.values()
        return self._begin("build", [one for one in runtimes if one.state is not SiteState.READY], ())

    def rebuild(self, ask: Ask) -> Accepted:
        """Builds the environments of these sites anew, also those that are done, for one that misbehaves.

        What serves now goes on until the new build is done, and can be rolled back to. The job (kind "rebuild") has the
        result of POST /build; `later` names the sites whose worker works on in the earlier build until it is started
        anew.
        """
        return self._begin("rebuild", self._sites(ask.body["sites"]), ask.body["sites"])

    def rebuild_environment(self, ask: Ask) -> Accepted:
        """Builds this environment anew, by what the files of all sites that ask for it say now."""
        environment = self._backend.environment(ask.path["environment_id"])
        users = self._backend.manager.users_of(environment.id)
        asking = [runtime for runtime in users if runtime.environment == environment]
        if not asking:
            raise _nobody_asks(environment, users)
        return self._begin("rebuild", asking, [environment.id])

    def cancel(self, ask: Ask) -> Cancelled:
        """Ends the build of this environment, also one of another process, which stops within two seconds."""
        environment = self._backend.environment(ask.path["environment_id"])
        try:
            return {"cancelled": self._upkeep.cancel(environment.id)}
        except OSError as error:
            raise _disk(error, "Asking the other process to stop", environment) from error

    def roll_back(self, ask: Ask) -> RolledBack:
        """Returns to the build before, in which the nodes are imported anew; a second time undoes it."""
        environment = self._backend.environment(ask.path["environment_id"])
        try:
            self._upkeep.roll_back(environment.id)
        except NothingToRollBackTo as error:
            raise NOT_POSSIBLE.because(
                f"Environment {environment.id!r} has no earlier build to go back to.",
                "One is there after a rebuild, until it is collected: build it anew instead.",
            ) from error
        except EnvironmentBusy as error:
            raise _busy(error) from error
        except OSError as error:
            raise _disk(error, "Rolling back", environment) from error
        self._backend.feed.environment_changed(environment.id)
        return {"environment": self._environments.one(environment)}

    def delete(self, ask: Ask) -> Accepted:
        """Deletes an environment. Its sites are unbuilt then, until somebody builds them again.

        It is gone when this answers; the job (kind "delete") gives the disk its room back. Its result is
        `{"left": [name]}`.
        """
        environment = self._backend.environment(ask.path["environment_id"])
        if not environment.directory.is_dir():
            raise NOT_POSSIBLE.because(
                f"Environment {environment.id!r} is not there: it was not built, or was deleted.",
                "Build it first.",
            )
        try:
            self._upkeep.take_out(environment.id)
        except EnvironmentBusy as error:
            raise _busy(error) from error
        except OSError as error:
            raise _disk(error, "Deleting", environment) from error
        self._backend.feed.environment_changed(environment.id)
        return self._backend.works.begin("delete", environment.id, self._give_room_back, can_cancel=False)

    def _give_room_back(self, work: Work) -> Deleted:
        work.report("deleting its files")
        root = self._backend.store.root
        remove_trash(root)
        return {"left": sorted(path.name for path in root.glob(".*.trash"))}

    def _begin(self, kind: str, runtimes: Sequence[SiteRuntime], named: Sequence[str]) -> Accepted:
        act = self._builds.build if kind == "build" else self._builds.rebuild
        return self._backend.works.begin(kind, ", ".join(named), lambda work: act(work, runtimes))

    def _sites(self, ids: Sequence[str]) -> list[SiteRuntime]:
        """Each once. Raises Refused."""
        return [self._backend.site(id_) for id_ in dict.fromkeys(ids)]


def _nobody_asks(environment: Environment, users: Sequence[SiteRuntime]) -> Refused:
    if not users:
        return NOT_POSSIBLE.because(
            f"No pack of this ComfyUI asks for environment {environment.id!r}.",
            "Delete it, or start the ComfyUI whose pack it is.",
        )
    names = ", ".join(runtime.id for runtime in users)
    return NOT_POSSIBLE.because(
        f"The files of {names}, whose nodes run in environment {environment.id!r}, ask for another one now.",
        f"Build {names} instead.",
    )


def _busy(error: EnvironmentBusy) -> Refused:
    return BUSY.because(error.message, error.remedy)


def _disk(error: OSError, attempted: str, environment: Environment) -> Refused:
    told = disk_error(error, attempted, environment.directory)
    return DISK.because(told.message, told.remedy)
