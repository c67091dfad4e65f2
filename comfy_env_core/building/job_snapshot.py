"""A build at one moment, for whoever watches."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, TypedDict

from comfy_env_core.building.errors import BuildError, BuildErrorJson
from comfy_env_core.building.report import Phase
from comfy_env_core.environments.states import EnvironmentState

_ENDED = (EnvironmentState.DONE, EnvironmentState.FAILED, EnvironmentState.CANCELLED)

BuildState = Literal["queued", "building", "verifying", "done", "failed", "cancelled"]


class BuildJson(TypedDict):
    """One build of an environment, under way or ended. See `JobSnapshot`.

    - `phase`: "waiting", "resolving", "downloading", "installing" or "verifying"; `text` says more, for people.
    - `percent`: how far the phase is; null where nobody knows the whole.
    - `packages_total`: 0 while not known.
    - `position`: 1 for the next to start, 0 for one that does not wait for its turn.
    - `quiet_s`: since the last sign of life.
    """

    id: str
    environment_id: str
    state: BuildState
    phase: str | None
    text: str
    packages_done: int
    packages_total: int
    percent: float | None
    priority: int
    position: int
    quiet_s: float
    started_at: float
    elapsed_s: float
    error: BuildErrorJson | None
    log_path: str


@dataclasses.dataclass(frozen=True)
class JobSnapshot:
    """A build at one moment. `packages_total` is 0 while not known; `started_at` is a Unix time in seconds.

    - `percent`: how far the *phase* is, None where nobody knows the whole.
    - `quiet_s`: seconds since the build last said or did anything that we heard of.
    - `position`: 1 for the next to start, 0 for one that does not wait for its turn.
    - `unlinked`: site directory → why it got no link (see `links.link`).
    """

    id: str
    environment_id: str
    state: EnvironmentState
    phase: Phase | None
    text: str
    packages_done: int
    packages_total: int
    started_at: float
    elapsed_s: float
    error: BuildError | None
    log_path: Path
    site_dirs: tuple[Path, ...] = ()
    unlinked: tuple[tuple[Path, str], ...] = ()
    percent: float | None = None
    quiet_s: float = 0.0
    priority: int = 0
    position: int = 0

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED

    def as_json(self) -> BuildJson:
        assert self.state is not EnvironmentState.MISSING, "a job is made for the queue"
        return {
            "id": self.id,
            "environment_id": self.environment_id,
            "state": self.state.value,
            "phase": self.phase.value if self.phase else None,
            "text": self.text,
            "packages_done": self.packages_done,
            "packages_total": self.packages_total,
            "percent": None if self.percent is None else round(self.percent, 1),
            "priority": self.priority,
            "position": self.position,
            "quiet_s": round(self.quiet_s, 1),
            "started_at": self.started_at,
            "elapsed_s": round(self.elapsed_s, 1),
            "error": self.error.as_json() if self.error else None,
            "log_path": str(self.log_path),
        }
