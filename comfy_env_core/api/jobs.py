"""`GET /comfy-env/jobs`: work that was asked for here, how far it is, and stopping it."""

from __future__ import annotations

from typing import TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import UNKNOWN_JOB
from comfy_env_core.api.work import JobJson, Work


class JobList(TypedDict):
    """The oldest first."""

    jobs: list[JobJson]


class Cancelled(TypedDict):
    """`cancelled`: whether it will stop now; false when it has ended, or was never begun, or cannot be stopped."""

    cancelled: bool


def operations(backend: Backend) -> list[Operation]:
    jobs = Jobs(backend)
    ids = {"job_id": "The id of a job, as the answer with status 202 has it."}
    unknown = (UNKNOWN_JOB,)
    return [
        Operation("GET", "/jobs", jobs.show_all, answer=JobList, tag="jobs"),
        Operation("GET", "/jobs/{job_id}", jobs.show, JobJson, ids, refusals=unknown, tag="jobs"),
        Operation("POST", "/jobs/{job_id}/cancel", jobs.cancel, Cancelled, ids, refusals=unknown, tag="jobs"),
    ]


class Jobs:
    def __init__(self, backend: Backend) -> None:
        self._works = backend.works

    def show_all(self, ask: Ask) -> JobList:
        """Work that goes on, and the last that ended."""
        return {"jobs": self._works.all()}

    def show(self, ask: Ask) -> JobJson:
        """One job. It stays known for a while after its end."""
        return self._work(ask).as_json()

    def cancel(self, ask: Ask) -> Cancelled:
        """Asks the job to stop, and returns at once. What it has done so far stays done; builds that it waits for end.

        Of a build that others wait for too, they hear that it was cancelled.
        """
        return {"cancelled": self._work(ask).cancel()}

    def _work(self, ask: Ask) -> Work:
        work = self._works.get(ask.path["job_id"])
        if work is None:
            raise UNKNOWN_JOB.because(
                f"There is no job {ask.path['job_id']!r}: it ended long ago, or ComfyUI was restarted since.",
                "GET /comfy-env/jobs lists them.",
            )
        return work
