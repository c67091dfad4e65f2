"""What is written into logs, told to the clients that follow them while it is written."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypedDict

from comfy_env_core.api.clients import Clients
from comfy_env_core.api.log_file import LogFile

log = logging.getLogger("comfy-env.api")

LOG_EVENT = "comfy-env.log"
#: What is written is gathered for so long.
LOOK_EVERY_S = 0.1
#: A client that does not say again that it follows is gone, or shows something else by now.
LEASE_S = 30.0
#: So much of a log is in one event. Of what was written faster the newest is told, and the rest can be read.
MOST_EVENT_BYTES = 128 * 1024


class LogSource(TypedDict):
    """Of which environment's build, or which site's worker, a log is."""

    kind: Literal["environment", "worker"]
    id: str


class LogEvent(TypedDict):
    """Lines that were written, in the form of `LogPage`.

    A `start` beyond the `end` that is known: some were left out. Another `log`: a new one begins.
    """

    source: LogSource
    log: str
    start: int
    end: int
    text: str


@dataclasses.dataclass(frozen=True)
class Log:
    """A log that can be read and followed. `is_over`: whether nobody writes to it at the moment."""

    kind: Literal["environment", "worker"]
    id: str
    path: Path
    is_over: Callable[[], bool] = dataclasses.field(compare=False)

    def open(self) -> LogFile:
        """Raises OSError."""
        is_over = (
            self.is_over()
        )  # before the size is looked at: what is written before the end is complete then
        return LogFile(self.path, is_over=is_over)

    @property
    def source(self) -> LogSource:
        return {"kind": self.kind, "id": self.id}


class Position(TypedDict):
    """Where following begins: what is before `end` in `log` can be read, and what is written after it is told."""

    log: str
    end: int


class Followers:
    """Who follows which log. One thread looks after all of them, and exists only while there is one."""

    def __init__(
        self,
        clients: Clients,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._followed: dict[Log, _Followed] = {}
        self._thread: threading.Thread | None = None

    def follow(self, followed: Log, client_id: str) -> Position:
        """Tells the client, for `LEASE_S` from now, what is written into the log. Raises OSError."""
        with self._lock:
            state = self._followed.get(followed)
            if state is None:
                state = self._followed[followed] = _Followed(followed)
            state.leases[client_id] = self._clock() + LEASE_S
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="comfy-env logs", daemon=True)
                thread.start()
                self._thread = thread
            return state.position

    def leave(self, followed: Log, client_id: str) -> None:
        """Nothing happens if the client does not follow it."""
        with self._lock:
            state = self._followed.get(followed)
            if state is not None:
                state.leases.pop(client_id, None)
                if not state.leases:
                    del self._followed[followed]

    def look(self) -> None:
        """Tells what was written since the last time, and forgets who is gone."""
        with self._lock:  # who begins to follow meanwhile begins with what is told next
            self._forget_who_is_gone()
            if self._clients.is_behind():
                return  # the files keep it
            for state in self._followed.values():
                for event in state.news():
                    self._tell(event, state.leases)

    def _run(self) -> None:
        while True:
            self._sleep(LOOK_EVERY_S)
            try:
                self.look()
            except Exception:  # this thread's boundary; it looks again in a moment
                log.exception("What is written into logs could not be told")
            with self._lock:
                if not self._followed:
                    self._thread = None
                    return

    def _forget_who_is_gone(self) -> None:
        now = self._clock()
        for followed, state in list(self._followed.items()):
            for client_id, until in list(state.leases.items()):
                if now >= until or not self._clients.is_connected(client_id):
                    del state.leases[client_id]
            if not state.leases:
                del self._followed[followed]

    def _tell(self, event: LogEvent, leases: dict[str, float]) -> None:
        for client_id in list(leases):
            try:
                self._clients.send(LOG_EVENT, event, client_id)
            except Exception:  # somebody else's code; the other clients are told all the same
                log.exception("The client %r could not be told of a log, and follows it no more", client_id)
                del leases[client_id]


class _Followed:
    """One log, and how far its followers know it.

    - `leases`: client id → when it is gone, by the clock.
    - `position`: what was told ends there.
    """

    def __init__(self, followed: Log) -> None:
        self._log = followed
        self._seen: tuple[int, int, int] | None = None
        self.leases: dict[str, float] = {}
        self.position: Position = {"log": "", "end": 0}
        if followed.path.exists():
            with followed.open() as file:
                self.position = {"log": file.id, "end": file.end}

    def news(self) -> Iterator[LogEvent]:
        """What was written since the last time. Raises OSError, but not for a log that is not there (yet)."""
        try:
            stat = os.stat(self._log.path)
        except FileNotFoundError:  # deleted, or it is just being moved aside
            return
        seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        # A last line that nobody will end is news when the log is over.
        if seen == self._seen and (self.position["end"] >= stat.st_size or not self._log.is_over()):
            return
        with self._log.open() as file:
            is_another = file.id != self.position["log"] or file.end < self.position["end"]
            if is_another:
                yield from self._rest_of_the_one_before()
                self.position = {"log": file.id, "end": 0}
            yield from self._told(file)
        self._seen = seen

    def _rest_of_the_one_before(self) -> Iterator[LogEvent]:
        """What was written into it after the last look, if it was moved aside and not deleted."""
        before = self._log.path.with_name(f"{self._log.path.name}.1")
        try:
            with LogFile(before, is_over=True) as file:
                if file.id == self.position["log"]:
                    yield from self._told(file)
        except FileNotFoundError:
            return

    def _told(self, file: LogFile) -> Iterator[LogEvent]:
        page = file.since(self.position["end"], MOST_EVENT_BYTES)
        self.position = {"log": page["log"], "end": page["end"]}
        if page["text"]:
            yield {
                "source": self._log.source,
                "log": page["log"],
                "start": page["start"],
                "end": page["end"],
                "text": page["text"],
            }
