"""Work that outlasts a request: its answer names a job, which is looked at with `GET /comfy-env/jobs/{job_id}`."""

from __future__ import annotations

import collections
import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Literal, TypedDict

log = logging.getLogger("comfy-env.api")

#: Jobs that ended stay known, so that whoever asks late hears how.
_REMEMBERED = 100

JobState = Literal["running", "done", "failed", "cancelled"]


class JobError(TypedDict):
    """`cause` as in the build's error, or the name of the error; `remedy` may be empty."""

    cause: str
    message: str
    remedy: str


class JobJson(TypedDict):
    """Work that outlasts its request.

    - `kind`: what is done: "build", "rebuild", "delete", "collect", "move-store", "doctor", "restart", …
    - `target`: of what, e.g. an environment's or a site's id; "" for all.
    - `text`: what it does at the moment, for people. `percent`: None where nobody knows the whole.
    - `started_at`: Unix time in seconds.
    - `result`: of the kind's own shape once it is done.
    """

    id: str
    kind: str
    target: str
    state: JobState
    text: str
    percent: float | None
    started_at: float
    elapsed_s: float
    result: Any
    error: JobError | None


class Accepted(TypedDict):
    """The answer with status 202."""

    job: JobJson


class WorkCancelled(Exception):
    """Raised by the function of a work that was stopped on request."""


class WorkFailed(Exception):
    """Raised by the function of a work that ended with an error which people can do something about."""

    def __init__(self, cause: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.error: JobError = {"cause": cause, "message": message, "remedy": remedy}


class Work:
    """Thread-safe. Its function calls `report` as it goes on, and may look at `cancel_asked`."""

    def __init__(self, kind: str, target: str, tell: Callable[[JobJson], None]) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.kind = kind
        self.target = target
        self.cancel_asked = threading.Event()
        self._tell = tell
        self._lock = threading.Lock()
        self._started_at = time.time()
        self._clock = time.monotonic()
        self._elapsed_s: float | None = None
        self._state: JobState = "running"
        self._text = ""
        self._percent: float | None = None
        self._result: Any = None
        self._error: JobError | None = None

    def report(self, text: str, percent: float | None = None) -> None:
        with self._lock:
            if (text, percent) == (self._text, self._percent):
                return
            self._text, self._percent = text, percent
        self._tell(self.as_json())

    def as_json(self) -> JobJson:
        with self._lock:
            elapsed_s = time.monotonic() - self._clock if self._elapsed_s is None else self._elapsed_s
            return {
                "id": self.id,
                "kind": self.kind,
                "target": self.target,
                "state": self._state,
                "text": self._text,
                "percent": self._percent,
                "started_at": self._started_at,
                "elapsed_s": round(elapsed_s, 1),
                "result": self._result,
                "error": self._error,
            }

    def run(self, function: Callable[[Work], Any]) -> None:
        """Never raises."""
        state: JobState = "done"
        result, error = None, None
        try:
            result = function(self)
        except WorkCancelled:
            state = "cancelled"
        except WorkFailed as failed:
            state, error = "failed", failed.error
        except (
            Exception
        ) as unexpected:  # the boundary of the thread: a mistake of ours must end as a failed job
            log.exception("%s %s failed unexpectedly", self.kind, self.target)
            state = "failed"
            error = {
                "cause": "internal",
                "message": f"{type(unexpected).__name__}: {unexpected}",
                "remedy": "Please report it with the log of ComfyUI.",
            }
        with self._lock:
            self._state, self._result, self._error = state, result, error
            self._elapsed_s = time.monotonic() - self._clock
        self._tell(self.as_json())


class Works:
    """What is under way, and the last that ended. `tell` hears of every change, from any thread."""

    def __init__(self, tell: Callable[[JobJson], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._works: collections.OrderedDict[str, Work] = collections.OrderedDict()

    def begin(self, kind: str, target: str, function: Callable[[Work], Any]) -> Accepted:
        """Runs `function(work)` on a thread of its own; what it returns is the job's result. Returns at once."""
        work = Work(kind, target, self._tell)
        with self._lock:
            self._works[work.id] = work
            ended = [id_ for id_, one in self._works.items() if one.as_json()["state"] != "running"]
            for id_ in ended[: max(0, len(self._works) - _REMEMBERED)]:
                del self._works[id_]
        thread = threading.Thread(target=work.run, args=(function,), name=f"comfy-env {kind}", daemon=True)
        thread.start()
        return {"job": work.as_json()}

    def get(self, job_id: str) -> Work | None:
        with self._lock:
            return self._works.get(job_id)

    def all(self) -> list[JobJson]:
        """The oldest first."""
        with self._lock:
            works = list(self._works.values())
        return [work.as_json() for work in works]
