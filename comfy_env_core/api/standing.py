"""How an environment stands, and why: told from this process's builds, from other processes', from the sites and the
disk."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Literal, TypedDict

from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.install_log import read_outcome
from comfy_env_core.building.job_snapshot import BuildJson, BuildState, JobSnapshot
from comfy_env_core.building.running_job import JOB_NAME, read_running_job
from comfy_env_core.environments.looks import Look
from comfy_env_core.environments.states import EnvironmentState, SiteState
from comfy_env_core.environments.store import Environment
from comfy_env_core.sites.status import SiteStatus


class FailureJson(TypedDict):
    """`cause`: a word for programs; `message` says what happened, `remedy` what to do (may be empty)."""

    cause: str
    message: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Standing:
    """`reason`: why it is in this state, for people; None where there is nothing to say."""

    state: Literal["missing"] | BuildState
    reason: str | None = None
    error: FailureJson | None = None
    build: BuildJson | None = None
    is_built_elsewhere: bool = False


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of one environment. `users`: the sites that ask for it or run in it. `build`: the last one of this
    process. `builds_at_start`: whether a start builds what is missing."""

    environment: Environment
    look: Look
    users: Sequence[SiteStatus]
    build: JobSnapshot | None
    builds_at_start: bool

    def standing(self) -> Standing:
        """The first of these that has something to say."""
        return (
            self._under_way()
            or self._elsewhere()
            or self._ended()
            or (self._missing() if self.look.current is None else self._done())
        )

    def _under_way(self) -> Standing | None:
        build = self.build
        if build is None or build.has_ended:
            return None
        shown = build.as_json()
        return Standing(shown["state"], doing(shown), build=shown)

    def _elsewhere(self) -> Standing | None:
        if JOB_NAME not in self.look.names:
            return None
        running = read_running_job(self.environment)
        if running is None or running.pid == os.getpid():
            return None
        shown = running.as_build(self.environment.log_path)
        reason = f"Process {running.pid} of this computer builds it. {doing(shown)}"
        return Standing(shown["state"], reason, build=shown, is_built_elsewhere=True)

    def _ended(self) -> Standing | None:
        """A build of this process that failed or was cancelled, unless something was built, or deleted, since."""
        build = self.build
        if build is None or build.error is None or not self._is_newest(build):
            return None
        shown = build.as_json()
        goes_on = "" if self.look.current is None else " The build before goes on serving."
        if build.state is EnvironmentState.FAILED:
            return Standing("failed", build.error.message + goes_on, _failure(build.error), shown)
        if self.look.current is None:
            return Standing("cancelled", "Its build was cancelled.", _failure(build.error), shown)
        return dataclasses.replace(self._done(), reason=f"The rebuild was cancelled.{goes_on}", build=shown)

    def _is_newest(self, build: JobSnapshot) -> bool:
        if self.look.current is None:
            # Deleting it sets the sites back. Without a directory a build may have failed for want of one.
            return self.environment.directory.is_dir() or any(
                site.state is SiteState.FAILED for site in self.users
            )
        try:
            switched_at = self.environment.pointer_path.stat().st_mtime
        except OSError:
            return True
        return switched_at < build.started_at + build.elapsed_s

    def _done(self) -> Standing:
        shown = self.build.as_json() if self.build is not None and self.build.error is None else None
        failed = next((site for site in self.users if site.failure is not None), None)
        if not self.users:
            reason = "No pack of this ComfyUI uses it."
        elif failed is not None and failed.failure is not None:
            reason = f"It is built. {failed.id} failed all the same: {failed.failure.message}"
        elif not any(site.environment_id == self.environment.id for site in self.users):
            names = ", ".join(site.id for site in self.users)
            reason = f"{names} runs in it until what its file asks for now is built."
        else:
            return Standing("done", build=shown)
        return Standing("done", reason, build=shown)

    def _missing(self) -> Standing:
        for site in self.users:
            if site.failure is not None and site.environment_id == self.environment.id:
                failure = site.failure
                return Standing(
                    "failed", failure.message, _as_failure(failure.cause, failure.message, failure.remedy)
                )
        outcome = read_outcome(self.environment.log_path)
        if outcome is not None:
            error = _as_failure("earlier_build", outcome, "Build it again, or read its log.")
            return Standing("failed", f"Its last build failed: {outcome}", error)
        return Standing("missing", self._why_missing())

    def _why_missing(self) -> str:
        if ".pixi" in self.look.names:
            return "Another tool, or an early version, made it: nothing here uses it."
        if not self.users:
            return "Nothing is built in it, and no pack of this ComfyUI uses it."
        if self.build is not None:
            return "It was deleted."
        if not self.builds_at_start:
            return "It is built when somebody asks for it: building at start is off."
        return "It was not built yet."


def doing(build: BuildJson) -> str:
    """What a build does at the moment, for people."""
    if build["state"] == "queued" and build["phase"] is None:
        return f"Number {build['position']} of those that wait." if build["position"] else "About to begin."
    return ": ".join(filter(None, (build["phase"] or build["state"], build["text"])))


def _failure(error: BuildError) -> FailureJson:
    return _as_failure(error.cause.value, error.message, error.remedy)


def _as_failure(cause: str, message: str, remedy: str) -> FailureJson:
    return {"cause": cause, "message": message, "remedy": remedy}
