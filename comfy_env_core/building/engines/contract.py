"""The agreement between a build and the engine that fills its prefix."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Report
from comfy_env_core.environments.store import Workspace


@dataclasses.dataclass(frozen=True)
class Package:
    """One installed package; `source` is "conda" or "pypi"."""

    name: str
    version: str
    source: str


@dataclasses.dataclass(frozen=True)
class BuiltEnvironment:
    """A filled prefix, not yet verified. `python` is its interpreter, `python_version` in full ("3.10.13").

    `engine` and `engine_version` say who filled it, for the record and for the panel.
    """

    prefix: Path
    python: Path
    python_version: str
    engine: str
    engine_version: str
    packages: tuple[Package, ...]


class Engine(Protocol):
    """Fills prefixes. One object may serve several builds at once, each from its own thread."""

    @property
    def name(self) -> str:
        """ "pixi" or "embedded"."""

    @property
    def version(self) -> str:
        """The version of the tool that does the work, as people would report it."""

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        """Fills `workspace.prefix`, which does not exist yet, with what `plan` asks for.

        Called by the job that holds the environment's lock; verification, `.done` and links are the caller's. Leaves
        lock files and generated manifests in the workspace. Calls `report.check()` at least every 0.2 s, ends its child
        processes before it raises, and raises BuildError only; the caller wipes what is half done.
        """

    def forget(self, names: Sequence[str], report: Report) -> None:
        """Throws away what its caches hold of these packages, whose files turned out to be damaged. Raises OSError."""
