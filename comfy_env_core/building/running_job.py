"""A build that runs, as other processes see it: `_env_<id>/job.json`, and the file that asks it to stop.

Written by the process that holds the environment's build lock, removed before it lets go. What a killed process left
behind is told from the living by the time at which the process was born.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, cast, get_args

import psutil

from comfy_env_core.building.job_snapshot import BuildJson, BuildState, JobSnapshot
from comfy_env_core.environments.store import Environment

log = logging.getLogger("comfy-env.building")

JOB_NAME = "job.json"
_EVERY_S = 1.0
_LOOK_EVERY_S = 0.25


@dataclasses.dataclass(frozen=True)
class RunningJob:
    """What `job.json` says; its shape is these fields.

    `state`, `phase` and `percent` as in `JobSnapshot`; `started_at`, `updated_at`: Unix times in seconds;
    `updated_at` is at most two seconds old while the build is alive.
    """

    job_id: str
    environment_id: str
    pid: int
    process_started_at: float
    state: str
    phase: str | None
    text: str
    percent: float | None
    started_at: float
    elapsed_s: float
    updated_at: float

    def as_json(self) -> dict[str, Any]:  # Any: JSON
        return dataclasses.asdict(self)

    def as_build(self, log_path: Path) -> BuildJson:
        """The same in the shape of builds of this process; what another process keeps to itself is empty."""
        return {
            "id": self.job_id,
            "environment_id": self.environment_id,
            "state": cast(BuildState, self.state),  # looked at when it was read
            "phase": self.phase,
            "text": self.text,
            "packages_done": 0,
            "packages_total": 0,
            "percent": self.percent,
            "priority": 0,
            "position": 0,
            "quiet_s": 0.0,
            "started_at": self.started_at,
            "elapsed_s": self.elapsed_s,
            "error": None,
            "log_path": str(log_path),
        }

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs. A process number may have been given to another since."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_started_at) < 1.0
        except psutil.Error:
            return False


def read_running_job(environment: Environment) -> RunningJob | None:
    """The build of this environment that some process of this machine runs right now, None if none does."""
    try:
        job = RunningJob(**json.loads(job_path(environment).read_bytes()))
        return job if job.state in get_args(BuildState) and job.is_alive else None
    except (OSError, ValueError, TypeError):  # none there, or not what we write
        return None


def ask_to_cancel(environment: Environment) -> RunningJob | None:
    """Asks whichever process builds the environment to stop; returns at once with the job asked, None if none runs.

    It stops within two seconds, `read_running_job` tells when. Raises OSError where the file cannot be written.
    """
    job = read_running_job(environment)
    if job is not None:
        _request_path(environment).write_text(job.job_id, encoding="utf-8")
    return job


def job_path(environment: Environment) -> Path:
    return environment.directory / JOB_NAME


class JobFile:
    """Keeps `job.json` true from `open` to `close`, both called with the environment's lock held. Thread-safe."""

    def __init__(self, environment: Environment, job_id: str) -> None:
        self._environment = environment
        self._job_id = job_id
        self._lock = threading.Lock()
        self._is_open = False
        self._written: tuple[float, tuple[object, ...]] = (0.0, ())
        self._looked_at = 0.0

    def open(self) -> None:
        """Replaces what a killed build left."""
        with self._lock:
            self._remove()
            self._is_open = True

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            self._remove()

    def write(self, snapshot: JobSnapshot) -> None:
        """Publishes the snapshot; one that tells no new phase waits for its second. Never fails a build."""
        key = (snapshot.state, snapshot.phase)
        with self._lock:
            moment, last = self._written
            if not self._is_open or (key == last and time.monotonic() - moment < _EVERY_S):
                return
            self._written = (time.monotonic(), key)
            temporary = job_path(self._environment).with_name(".job.json.part")
            try:
                temporary.write_text(json.dumps(self._told(snapshot).as_json()), encoding="utf-8")
                os.replace(temporary, job_path(self._environment))
            except OSError as error:  # other processes know less; a full disk fails the build by itself
                log.debug("Writing %s failed: %s", job_path(self._environment), error)

    def is_cancel_asked(self) -> bool:
        """Whether another process asked for the end of this very job. Looks four times a second at most."""
        now = time.monotonic()
        if not self._is_open or now - self._looked_at < _LOOK_EVERY_S:
            return False
        self._looked_at = now
        try:
            return _request_path(self._environment).read_text(encoding="utf-8") == self._job_id
        except OSError:
            return False

    def _told(self, snapshot: JobSnapshot) -> RunningJob:
        return RunningJob(
            job_id=snapshot.id,
            environment_id=snapshot.environment_id,
            pid=os.getpid(),
            process_started_at=psutil.Process().create_time(),
            state=snapshot.state.value,
            phase=snapshot.phase.value if snapshot.phase else None,
            text=snapshot.text,
            percent=snapshot.percent,
            started_at=snapshot.started_at,
            elapsed_s=round(snapshot.elapsed_s, 1),
            updated_at=time.time(),
        )

    def _remove(self) -> None:
        for path in (job_path(self._environment), _request_path(self._environment)):
            with contextlib.suppress(OSError):
                path.unlink()


def _request_path(environment: Environment) -> Path:
    return environment.directory / "cancel-request"
