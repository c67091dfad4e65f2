"""A site at one moment, for the outside."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, TypedDict

from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Workspace
from comfy_env_core.sites.failure import SiteFailure, SiteFailureJson


class ServingJson(TypedDict):
    """The generation of an environment that nodes run in."""

    environment_id: str
    generation: int


class SiteJson(TypedDict):
    """One isolated directory of a pack.

    - `notice`: what to know although its nodes run. `warnings`: what is odd in its file.
    - `environment_id`: of the environment that its file asks for; null before that is known.
    - `serving`: what its nodes run in now, and `python` the version of that.
    - `nodes`: the ids of its nodes, as they were described last.
    - `log_path`: of the last build of its environment.
    - `left_out`: packages that its environment does without, for want of a GPU; `left_out_text` says so in words.
    - `is_root`: whether the whole pack is isolated.
    """

    id: str
    pack: str
    state: Literal["unbuilt", "building", "describing", "ready", "failed", "stale"]
    failure: SiteFailureJson | None
    notice: str | None
    environment_id: str | None
    nodes: list[str]
    log_path: str | None
    left_out: list[str]
    left_out_text: str | None
    warnings: list[str]
    config_path: str
    python: str | None
    serving: ServingJson | None
    is_root: bool


@dataclasses.dataclass(frozen=True)
class SiteStatus:
    """The fields are those of `SiteJson`."""

    id: str
    pack: str
    state: SiteState
    failure: SiteFailure | None
    notice: str | None
    environment_id: str | None
    nodes: tuple[str, ...]
    log_path: Path | None
    config_path: Path
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    python: str | None = None
    serving: Workspace | None = None
    is_root: bool = True

    @property
    def left_out_text(self) -> str | None:
        """For people; None when nothing was left out."""
        if not self.left_out:
            return None
        return (
            f"{', '.join(self.left_out)} left out: no NVIDIA GPU was found when the environment was planned. Nodes "
            "that need them fail. COMFY_ENV_CUDA_VERSION (for instance 12.8) has them installed all the same."
        )

    def as_json(self) -> SiteJson:
        serving = self.serving
        return {
            "id": self.id,
            "pack": self.pack,
            "state": self.state.value,
            "failure": self.failure.as_json() if self.failure else None,
            "notice": self.notice,
            "environment_id": self.environment_id,
            "nodes": list(self.nodes),
            "log_path": str(self.log_path) if self.log_path else None,
            "left_out": list(self.left_out),
            "left_out_text": self.left_out_text,
            "warnings": list(self.warnings),
            "config_path": str(self.config_path),
            "python": self.python,
            "serving": {"environment_id": serving.environment_id, "generation": serving.number}
            if serving is not None
            else None,
            "is_root": self.is_root,
        }
