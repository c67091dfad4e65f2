"""Logs of builds and of workers: pages of them, and who follows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.following import LEASE_S, Followers, Log
from comfy_env_core.api.log_file import MOST_PAGE_BYTES, LogPage
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import (
    BAD_REQUEST,
    DISK,
    NO_LOG,
    NOT_POSSIBLE,
    UNKNOWN_ENVIRONMENT,
    UNKNOWN_SITE,
    Refusal,
    Refused,
)
from comfy_env_core.api.schema import Bounds, Length

DEFAULT_TAIL_LINES = 1000
MOST_TAIL_LINES = 20_000
DEFAULT_LIMIT_BYTES = 256 * 1024
#: What every file system and every page's numbers can hold.
LARGEST_OFFSET = 2**53 - 1

#: Functional for the sake of `from`, which is a keyword.
LogQuery = TypedDict(
    "LogQuery",
    {
        "build": Annotated[int, Bounds(0, 2), "0 for the log of now, 1 and 2 for the ones before it"],
        "tail": Annotated[int, Bounds(1, MOST_TAIL_LINES), "the last lines"],
        "from": Annotated[
            int, Bounds(0, LARGEST_OFFSET), "instead: the line that holds this byte, and those after it"
        ],
        "limit": Annotated[int, Bounds(1, MOST_PAGE_BYTES), "with `from`: about so many bytes, whole lines"],
    },
    total=False,
)


class FollowBody(TypedDict):
    """`client_id`: the `clientId` of the websocket on which the events shall come."""

    client_id: Annotated[str, Length(200, 1)]


class Following(TypedDict):
    """Events tell what comes after byte `end` of `log`, for `lease_s` seconds from now; `log` is "" as long as there is
    none."""

    log: str
    end: int
    lease_s: float


class LeftJson(TypedDict):
    """Nothing to say."""


def operations(backend: Backend) -> list[Operation]:
    logs = Logs(backend)
    return [
        *_routes(
            "/environments/{environment_id}",
            {"environment_id": "the id of an environment"},
            UNKNOWN_ENVIRONMENT,
            logs.show_build,
            logs.follow_build,
            logs.leave_build,
        ),
        *_routes(
            "/workers/{site}",
            {"site": "the id of a site"},
            UNKNOWN_SITE,
            logs.show_worker,
            logs.follow_worker,
            logs.leave_worker,
        ),
    ]


class Logs:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._followers = Followers(backend.clients)

    def show_build(self, ask: Ask) -> LogPage:
        """Lines of what a build of the environment wrote.

        The last lines with `tail`, others with `from`; without both, the last thousand.
        """
        return _page(self._of_build(ask), ask)

    def follow_build(self, ask: Ask) -> Following:
        """Have what builds of the environment write told by `comfy-env.log` events, to one client.

        It goes on into the next build's log. To be asked for again before the lease is over.
        """
        return self._follow(self._of_build(ask), ask)

    def leave_build(self, ask: Ask) -> LeftJson:
        """Have no more told of the environment's builds, or hear at once that nothing was."""
        return self._leave(self._of_build(ask), ask)

    def show_worker(self, ask: Ask) -> LogPage:
        """Lines of what the nodes of a site wrote.

        The last lines with `tail`, others with `from`; without both, the last thousand. `build=1` is the log before.
        """
        return _page(self._of_worker(ask), ask)

    def follow_worker(self, ask: Ask) -> Following:
        """Have what the nodes of a site write told by `comfy-env.log` events, to one client.

        To be asked for again before the lease is over.
        """
        return self._follow(self._of_worker(ask), ask)

    def leave_worker(self, ask: Ask) -> LeftJson:
        """Have no more told of what the nodes of a site write, or hear at once that nothing was."""
        return self._leave(self._of_worker(ask), ask)

    def _of_build(self, ask: Ask) -> Log:
        environment = self._backend.environment(ask.path["environment_id"])

        def is_over() -> bool:
            builds = self._backend.manager.builds()
            return all(build.has_ended for build in builds if build.environment_id == environment.id)

        return Log("environment", environment.id, environment.log_path, is_over)

    def _of_worker(self, ask: Ask) -> Log:
        runtime, workers = self._backend.site(ask.path["site"]), self._backend.manager.workers
        return Log(
            "worker", runtime.id, workers.log_path(runtime), lambda: workers.running(runtime.id) is None
        )

    def _follow(self, followed: Log, ask: Ask) -> Following:
        client_id: str = ask.body["client_id"]
        if not self._backend.clients.is_connected(client_id):
            raise NOT_POSSIBLE.because(
                f"No page is connected as {client_id!r}, so that nothing could be told to it.",
                "Connect to ComfyUI's websocket first, and send the `clientId` of it.",
            )
        try:
            position = self._followers.follow(followed, client_id)
        except OSError as error:
            raise _unreadable(followed.path, error) from error
        return {**position, "lease_s": LEASE_S}

    def _leave(self, followed: Log, ask: Ask) -> LeftJson:
        self._followers.leave(followed, ask.body["client_id"])
        return {}


def _routes(
    path: str,
    ids: Mapping[str, str],
    unknown: Refusal,
    show: Callable[[Ask], LogPage],
    follow: Callable[[Ask], Following],
    leave: Callable[[Ask], LeftJson],
) -> list[Operation]:
    """What can be done with the logs of what is at `path`."""
    page, following = f"{path}/log", f"{path}/log/follow"
    asked: dict[str, Any] = {"ids": ids, "tag": "logs"}  # Any: fields of an Operation
    told: dict[str, Any] = {**asked, "body": FollowBody}
    return [
        Operation("GET", page, show, LogPage, query=LogQuery, refusals=(unknown, NO_LOG, DISK), **asked),
        Operation("POST", following, follow, Following, refusals=(unknown, NOT_POSSIBLE, DISK), **told),
        Operation("DELETE", following, leave, LeftJson, refusals=(unknown,), **told),
    ]


def _page(shown: Log, ask: Ask) -> LogPage:
    asked = ask.query
    if "tail" in asked and "from" in asked:
        raise BAD_REQUEST.because("Both `tail` and `from` are given.", "Leave one of them out.")
    number = asked.get("build", 0)
    if number:
        older = shown.path.with_name(f"{shown.path.name}.{number}")
        shown = dataclasses.replace(shown, path=older, is_over=lambda: True)
    try:
        with shown.open() as file:
            if "from" in asked:
                return file.range(asked["from"], asked.get("limit", DEFAULT_LIMIT_BYTES))
            return file.tail(asked.get("tail", DEFAULT_TAIL_LINES))
    except OSError as error:
        raise _unreadable(shown.path, error) from error


def _unreadable(path: Path, error: OSError) -> Refused:
    if isinstance(error, FileNotFoundError):
        return NO_LOG.because(
            f"There is no {str(path)!r}.", "Nothing was written yet, or it was deleted with its environment."
        )
    return DISK.because(
        f"{str(path)!r} cannot be read: {error.strerror or error}.",
        "Look at its permissions and at the disk.",
    )
