"""Work that outlasts a request: its answer names a job, which is looked at with `GET /comfy-env/jobs/{job_id}`."""

from __future__ import annotations

import collections
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypedDict

from comfy_env_core.building.errors import BuildError, disk_error

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
    - `can_cancel`: whether it can be stopped on request.
    - `started_at`: Unix time in seconds.
    - `result`: of the kind's own shape once it is done; of one that failed, what was achieved all the same, or None.
    """

    id: str
    kind: str
    target: str
    state: JobState
    text: str
    percent: float | None
    can_cancel: bool
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

    def __init__(self, cause: str, message: str, remedy: str, result: Any = None) -> None:
        super().__init__(message)
        self.error: JobError = {"cause": cause, "message": message, "remedy": remedy}
        self.result = result


class Work:
    """Thread-safe. Its function calls `report` as it goes on, and heeds requests to stop: it calls `check` now and
    then, or has something called with `on_cancel`."""

    def __init__(
        self, kind: str, target: str, tell: Callable[[JobJson], None], *, can_cancel: bool = True
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.kind = kind
        self.target = target
        self.can_cancel = can_cancel
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
        self._is_cancel_asked = False
        self._on_cancel: list[Callable[[], object]] = []

    # --- for its function -------------------------------------------------------------------------------------------

    def report(self, text: str, percent: float | None = None) -> None:
        """What it does now. `percent` is told in whole numbers: a page draws no finer, and hears of each change."""
        percent = None if percent is None else float(round(percent))
        with self._lock:
            if (text, percent) == (self._text, self._percent):
                return
            self._text, self._percent = text, percent
        self._tell(self.as_json())

    @property
    def cancel_asked(self) -> bool:
        return self._is_cancel_asked

    def check(self) -> None:
        """Raises WorkCancelled when somebody asked to cancel."""
        if self._is_cancel_asked:
            raise WorkCancelled

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """`callback` is called, on the thread of whoever asks, when this is to be stopped; at once if it is already."""
        with self._lock:
            is_asked = self._is_cancel_asked
            if not is_asked:
                self._on_cancel.append(callback)
        if is_asked:
            callback()

    # --- for the outside ----------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        return self._state != "running"

    def cancel(self) -> bool:
        """Asks it to stop, and returns at once. False when it has ended, or cannot be stopped."""
        with self._lock:
            if not self.can_cancel or self._state != "running":
                return False
            self._is_cancel_asked = True
            callbacks, self._on_cancel = self._on_cancel, []
        for callback in callbacks:
            callback()
        return True

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
                "can_cancel": self.can_cancel,
                "started_at": self._started_at,
                "elapsed_s": round(elapsed_s, 1),
                "result": self._result,
                "error": self._error,
            }

    def run(self, function: Callable[[Work], Any]) -> None:
        """Never raises."""
        self._tell(self.as_json())
        try:
            self._end("done", result=function(self))
        except WorkCancelled:
            self._end("cancelled")
        except WorkFailed as failed:
            self._end("failed", result=failed.result, error=failed.error)
        except BuildError as failed:
            self._end("failed", error=_error(failed))
        except OSError as refused:
            log.warning("%s %s failed", self.kind, self.target, exc_info=refused)
            place = Path(os.fsdecode(refused.filename or "."))
            self._end("failed", error=_error(disk_error(refused, f"The work {self.kind!r}", place)))
        except Exception as mistake:  # the boundary of the thread: a mistake of ours must end as a failed job
            log.exception("%s %s failed unexpectedly", self.kind, self.target)
            message = f"{type(mistake).__name__}: {mistake}"
            remedy = "Please report it with the log of ComfyUI."
            self._end("failed", error={"cause": "internal", "message": message, "remedy": remedy})

    def _end(self, state: JobState, result: Any = None, error: JobError | None = None) -> None:
        with self._lock:
            self._state, self._result, self._error = state, result, error
            self._elapsed_s = time.monotonic() - self._clock
            self._on_cancel.clear()
        self._tell(self.as_json())


class Works:
    """What is under way, and the last that ended. `tell` hears of every change, from any thread."""

    def __init__(self, tell: Callable[[JobJson], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._works: collections.OrderedDict[str, Work] = collections.OrderedDict()

    def begin(
        self, kind: str, target: str, function: Callable[[Work], Any], *, can_cancel: bool = True
    ) -> Accepted:
        """Runs `function(work)` on a thread of its own; what it returns, JSON, is the job's result. Returns at once.

        `can_cancel`: whether the function heeds requests to stop. A BuildError or OSError of it ends the job with its
        words.
        """
        work = Work(kind, target, self._tell, can_cancel=can_cancel)
        with self._lock:
            self._works[work.id] = work
            ended = [id_ for id_, one in self._works.items() if one.has_ended]
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


def _error(error: BuildError) -> JobError:
    return {"cause": error.cause.value, "message": error.message, "remedy": error.remedy}
