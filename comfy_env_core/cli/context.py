"""What a command works with; each part is made when it is first asked for."""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core import assembly
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.cli import custom_nodes, terminal
from comfy_env_core.discovery import Scan, Site, host_skips, scan
from comfy_env_core.environments.home import user_home
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode, Manager
from comfy_env_core.settings.effective import Variables, effective
from comfy_env_core.sites.planning import Planner

if TYPE_CHECKING:
    from comfy_env_core.building.plan import BuildPlan


class Context:
    """One run of one command. Owns the manager, if it was asked for: `close` ends it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._manager: Manager | None = None

    def say(self, text: str = "") -> None:
        """A line of the result, to stdout. Log lines go to the logger "comfy-env", and so to stderr."""
        print(text)

    def print_json(self, value: Any) -> None:
        """The result as one JSON document, in ASCII, so that no encoding can spoil it."""
        print(json.dumps(value, indent=2))

    def say_rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Cells below each other, two spaces between; where a row is too wide, its last cell goes on below."""
        room = terminal.columns(sys.stdout) if sys.stdout.isatty() else None
        for line in terminal.lay_out(rows, room):
            print(line)

    @property
    def wants_json(self) -> bool:
        return bool(getattr(self._options, "json", False))

    @functools.cached_property
    def store(self) -> Store:
        return Store.default()

    @functools.cached_property
    def variables(self) -> Variables:
        """The environment, and under it the settings of the store."""
        return effective(os.environ, self.store)

    @functools.cached_property
    def settings(self) -> UserSettings:
        return UserSettings.gather(self.variables, user_home())

    @functools.cached_property
    def custom_nodes(self) -> tuple[Path, ...]:
        """Raises CommandError when none is named and none is found."""
        return custom_nodes.named_or_found(self._options.custom_nodes)

    @functools.cached_property
    def comfyui_source(self) -> Path | None:
        return assembly.find_comfyui(self.custom_nodes[0])

    @functools.cached_property
    def scan(self) -> Scan:
        return scan(self.custom_nodes, host_skips(disable_all=False, whitelist=()))

    @functools.cached_property
    def planner(self) -> Planner:
        return Planner(self.comfyui_source, lambda: self.settings, self.variables)

    def plan(self, site: Site) -> BuildPlan:
        """Asks no network. Raises BuildError for a file that cannot become an environment on this machine."""
        return self.planner.plan(site, self.scan.nested(site))

    def manager(self, mode: BuildMode = BuildMode.BLOCKING) -> Manager:
        """The one manager of this run, over all that was scanned; nothing is started yet."""
        if self._manager is None:
            # Most commands run no worker, and importing what workers need takes longer than they do.
            from comfy_env_core.cli.host_services import InstallServices, host_facts

            self._manager = assembly.assemble(
                self.store,
                self.scan,
                comfyui_source=self.comfyui_source,
                services=InstallServices(self.comfyui_source),
                mode=mode,
                host_facts=host_facts(),
                custom_nodes=self.custom_nodes,
                variables=self.variables,
            )
        return self._manager

    @functools.cached_property
    def assessed(self) -> Manager:
        """The one manager, which has looked at every site of the scan and builds nothing."""
        manager = self.manager(mode=BuildMode.OFF)
        manager.start()
        return manager

    def close(self) -> None:
        if self._manager is not None:
            self._manager.shutdown()
