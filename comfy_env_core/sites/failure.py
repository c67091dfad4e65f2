"""Why a site's nodes cannot run, in words for the person who wants to run them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TypedDict

from comfy_env_core.building.errors import BuildError
from comfy_env_core.config import ConfigError


class SiteFailureJson(TypedDict):
    """Why nodes cannot run; see `SiteFailure`."""

    cause: str
    message: str
    remedy: str
    log_path: str | None


@dataclasses.dataclass(frozen=True)
class SiteFailure:
    """`cause`: a word for programs: a `BuildCause`'s value, "config", "worker_start", "worker_crashed", "timed_out",
    "node_import". `message` says what happened, `remedy` what to do."""

    cause: str
    message: str
    remedy: str
    log_path: Path | None = None

    def __str__(self) -> str:
        log = f" Log: {self.log_path}" if self.log_path else ""
        return f"{self.message} {self.remedy}".strip() + log

    def as_json(self) -> SiteFailureJson:
        return {
            "cause": self.cause,
            "message": self.message,
            "remedy": self.remedy,
            "log_path": str(self.log_path) if self.log_path else None,
        }


class SiteNotReady(Exception):
    """A node was called whose environment is missing, being built or broken. The text says what to do."""


def failure_of(error: BaseException, log_path: Path | None, pack_dir: Path | None = None) -> SiteFailure:
    """The failure that an error of a build, a worker or a node's import amounts to.

    `pack_dir`: the pack whose code it was, to name its file.
    """
    # Only here: a start at which nothing fails and nothing runs need not import what starts processes.
    from comfy_env_core.sites.import_failure import import_message, import_remedy
    from comfy_env_core.supervision import WorkerCrashed, WorkerStartError, WorkerTimedOut

    if isinstance(error, BuildError):
        return SiteFailure(error.cause.value, error.message, error.remedy, error.log_path or log_path)
    if isinstance(error, ConfigError):
        return SiteFailure("config", str(error), "")
    if isinstance(error, WorkerTimedOut):
        remedy = "Its log says what it waits for; COMFY_ENV_IMPORT_TIMEOUT_S allows more time."
        return SiteFailure("timed_out", f"Importing the nodes did not end: {error}", remedy, log_path)
    if isinstance(error, WorkerStartError):
        return SiteFailure("worker_start", str(error), "", log_path)
    if isinstance(error, WorkerCrashed):
        return SiteFailure("worker_crashed", str(error), "", log_path)
    return SiteFailure("node_import", import_message(error, pack_dir), import_remedy(error), log_path)
