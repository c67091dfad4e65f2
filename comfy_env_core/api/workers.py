"""`GET /comfy-env/workers`: the processes in which nodes run, and ending them or starting them anew."""

from __future__ import annotations

from typing import TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import NOT_POSSIBLE, UNKNOWN_SITE
from comfy_env_core.api.work import Accepted, Work, WorkFailed
from comfy_env_core.sites.failure import SiteNotReady, failure_of
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.sites.worker_status import WorkerJson

#: What a node that was running says, so that nobody looks for a mistake in it.
_ENDED = (
    "The worker of {site!r} was {what} by hand while this ran. What the pack's nodes kept in memory, such as loaded "
    "models, is lost. Run the workflow again."
)


class WorkersJson(TypedDict):
    """Every worker that ran since ComfyUI was started. `run`, `sequence`: as in the events."""

    run: str
    sequence: int
    workers: list[WorkerJson]


class Stopped(TypedDict):
    """The result of a job of the kind "stop"."""

    was_running: bool


def operations(backend: Backend) -> list[Operation]:
    workers = Workers(backend)
    ids = {"site": "the id of a site, as GET /comfy-env/status has it"}
    return [
        Operation("GET", "/workers", workers.show, WorkersJson, tag="workers"),
        Operation(
            "POST",
            "/workers/{site}/restart",
            workers.restart,
            Accepted,
            ids,
            status=202,
            result=WorkerJson,
            refusals=(UNKNOWN_SITE, NOT_POSSIBLE),
            tag="workers",
        ),
        Operation(
            "POST",
            "/workers/{site}/stop",
            workers.stop,
            Accepted,
            ids,
            status=202,
            result=Stopped,
            refusals=(UNKNOWN_SITE,),
            tag="workers",
        ),
    ]


class Workers:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._manager = backend.manager

    def show(self, ask: Ask) -> WorkersJson:
        """Workers with what they do and what they take.

        Events tell when one starts, ends or dies. How busy it is, and what it takes, is for the asking: every other
        second, as long as somebody looks.
        """
        feed = self._backend.feed
        sequence = feed.sequence  # before the rest, see `EventFeed.sequence`
        return {"run": feed.run, "sequence": sequence, "workers": self._manager.workers.status()["workers"]}

    def restart(self, ask: Ask) -> Accepted:
        """Ends the worker, whatever it does, and starts it anew; starts it if it did not run.

        Nodes that run in it fail, and say that it was restarted. The job ends when the new process answers; its result
        is that worker.
        """
        runtime = self._backend.site(ask.path["site"])
        if runtime.serving is None:
            raise NOT_POSSIBLE.because(
                f"The nodes of {runtime.id!r} have no environment to run in ({runtime.state.value}).",
                "Build it first, or wait for the build that runs.",
            )
        return self._backend.works.begin(
            "restart", runtime.id, lambda work: self._restart(work, runtime), can_cancel=False
        )

    def stop(self, ask: Ask) -> Accepted:
        """Ends the worker, whatever it does. The next node that needs it starts it again.

        Nodes that run in it fail, and say that it was stopped. The job ends when the process is gone; its result is
        {"was_running": bool}.
        """
        runtime = self._backend.site(ask.path["site"])
        return self._backend.works.begin(
            "stop", runtime.id, lambda work: self._stop(work, runtime), can_cancel=False
        )

    def _restart(self, work: Work, runtime: SiteRuntime) -> WorkerJson | None:
        self._end(work, runtime, "restarted")
        work.report("starting the new process")
        try:
            self._manager.start_worker(runtime)
        except SiteNotReady as error:
            raise WorkFailed("not_ready", str(error), "") from error
        except RuntimeError as error:  # a WorkerStartError, or ComfyUI is shutting down
            failure = failure_of(error, self._manager.workers.log_path(runtime))
            raise WorkFailed(failure.cause, failure.message, failure.remedy) from error
        return self._manager.workers.show(runtime.id)

    def _stop(self, work: Work, runtime: SiteRuntime) -> Stopped:
        return {"was_running": self._end(work, runtime, "stopped")}

    def _end(self, work: Work, runtime: SiteRuntime, what: str) -> bool:
        work.report("ending its process")
        reason = _ENDED.format(site=runtime.id, what=what)
        return self._manager.workers.stop_on_request(runtime.id, reason)
