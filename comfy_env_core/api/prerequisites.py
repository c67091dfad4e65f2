"""`GET /comfy-env/prerequisites`: what packs ask for beside their environments, and the commands that install it.

Commands are shown and never run: they change the system, or other packs.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

import comfy_env_core
from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import DISK, NOT_POSSIBLE
from comfy_env_core.building.errors import BuildError, disk_error
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.survey import PackNeeds, survey
from comfy_env_core.prerequisites.system.choosing import this_system


class SystemJson(TypedDict):
    """Packages of the system. `section`: "apt" or "brew". `problem`: why nobody can tell which are missing."""

    section: str
    wanted: list[str]
    missing: list[str]
    problem: str | None


class NodePackJson(TypedDict):
    """Another pack that is asked for.

    - `source`: `{"kind": "git", "url", "ref_kind", "ref"}` or `{"kind": "registry", "id", "version"}`.
    - `path`: where it is, or would be. `address`: what would be asked for it. `note`: how the version that is there
      differs.
    """

    directory: str
    source: dict[str, Any]
    state: Literal["present", "disabled", "replaced", "missing"]
    path: str
    address: str
    note: str | None


class PackNeedsJson(TypedDict):
    """What one pack asks for."""

    pack: str
    system: SystemJson | None
    node_packs: list[NodePackJson]


class CommandJson(TypedDict):
    """What to type in a terminal to install what a pack lacks. `installs`: "system" packages or "node_packs"."""

    pack: str
    installs: Literal["system", "node_packs"]
    command: str


class PrerequisitesJson(TypedDict):
    """`packs`: those that ask for something. `unreadable`: what is wrong in files that could not be read."""

    packs: list[PackNeedsJson]
    unreadable: list[str]
    commands: list[CommandJson]


def operations(backend: Backend) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/prerequisites",
            Prerequisites(backend).show,
            answer=PrerequisitesJson,
            refusals=(NOT_POSSIBLE, DISK),
            tag="packs",
        )
    ]


class Prerequisites:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def show(self, ask: Ask) -> PrerequisitesJson:
        """What packs ask for beside their environments, what of it is missing, and the commands that install it.

        Files are read, and apt or Homebrew is asked what it offers; no server is, and nothing is installed.
        """
        try:
            addresses = Addresses.from_environment(self._backend.environ)
            found = survey(self._backend.manager.scan, addresses)
        except BuildError as error:
            raise NOT_POSSIBLE.because(error.message, error.remedy) from error
        except OSError as error:
            told = disk_error(error, "Looking for what packs ask for", Path(error.filename or "."))
            raise DISK.because(told.message, told.remedy) from error
        shown: PrerequisitesJson = {
            **found.as_json(),  # type: ignore[typeddict-item]  # of this shape, as the tests check
            "commands": [command for needs in found.packs for command in _commands(needs)],
        }
        return shown


def _commands(needs: PackNeeds) -> Iterator[CommandJson]:
    system = this_system()
    if system is not None and needs.system is not None and needs.system.missing:
        lines = system.plan(needs.system.missing).shell_lines()
        if lines:
            yield {"pack": needs.pack.name, "installs": "system", "command": " && ".join(lines)}
    if any(need.present is None for need in needs.node_packs):
        yield {"pack": needs.pack.name, "installs": "node_packs", "command": _typed(_fetching(needs))}


def _fetching(needs: PackNeeds) -> Sequence[str]:
    """Works from whatever directory it is typed in."""
    program = os.path.dirname(comfy_env_core.__file__)
    where = ("--custom-nodes", str(needs.custom_nodes))
    return (sys.executable, program, "node-packs", needs.pack.path.name, "--install", *where)


def _typed(command: Sequence[str]) -> str:
    """As one types it in a terminal of this system."""
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
