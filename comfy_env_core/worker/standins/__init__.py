"""Small stand-ins for ComfyUI's modules, so that a pack that only needs these imports without ComfyUI.

`folder_paths` and `server` hold the host's state and are stand-ins in every environment. The others are so only where
ComfyUI's source is absent; discovery's `host_names` lists what they have, and must follow.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.standins import (
    cli_args,
    comfy,
    comfy_execution,
    comfy_types,
    folder_paths,
    live,
    server,
)
from comfy_env_core.worker.web.registrations import Registrations

Fill = Callable[[ModuleType, Home, Configuration], None]


def install_standins(home: Home, configuration: Configuration, registrations: Registrations) -> None:
    """Put them in front of everything else; each is made when it is first imported."""
    fills: dict[str, Fill] = {
        "folder_paths": folder_paths.fill,
        "server": functools.partial(server.fill, registrations=registrations),
    }
    if configuration.comfyui is None:
        fills.update(
            {
                "comfy": live.fill_package,
                "comfy.cli_args": cli_args.fill,
                "comfy.options": cli_args.fill_options,
                "comfy.comfy_types": comfy_types.fill,
                "comfy.comfy_types.node_typing": comfy_types.fill,
                "comfy.model_management": live.fill_model_management,
                "comfy.utils": comfy.fill_utils,
                "comfy_execution": comfy_execution.fill_package,
                "comfy_execution.graph": comfy_execution.fill_graph,
                "comfy_execution.graph_utils": comfy_execution.fill_graph_utils,
                "comfy_execution.utils": comfy_execution.fill_utils,
                "node_helpers": comfy_types.fill_node_helpers,
                **dict.fromkeys(live.MODULES, live.fill),
            }
        )
    sys.meta_path.insert(0, _StandIns(fills, home, configuration))


class _StandIns:
    """The meta path finder and loader of all stand-ins."""

    def __init__(self, fills: dict[str, Fill], home: Home, configuration: Configuration) -> None:
        self._fills = fills
        self._home = home
        self._configuration = configuration

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system."""
        if fullname not in self._fills:
            return None
        is_package = any(name.startswith(fullname + ".") for name in self._fills)
        return importlib.machinery.ModuleSpec(
            fullname,
            self,  # type: ignore[arg-type]  # a loader by its methods
            origin="comfy-env stand-in",
            is_package=is_package,
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """The default module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill it."""
        source = self._configuration.host_facts.get("source")
        if source is not None:
            # Packs find ComfyUI's folders by where its modules lie.
            parts = module.__name__.split(".") + (["__init__"] if hasattr(module, "__path__") else [])
            module.__file__ = os.path.join(source, *parts) + ".py"
        self._fills[module.__name__](module, self._home, self._configuration)
