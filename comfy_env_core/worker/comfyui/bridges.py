"""Ties ComfyUI's own modules, where an environment has them, to the host: progress, interrupt, node context.

ComfyUI keeps this state in module globals. The modules are adjusted right after they are imported, whenever that
is, so a pack that never imports them pays nothing.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from comfy_env_core.worker.comfyui.memory import WorkerMemory
from comfy_env_core.worker.comfyui.progress import Progress
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.running import RunningCall
from comfy_env_core.worker.standins import cli_args


class Bridges:
    """Does nothing in an environment without ComfyUI's source."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._set_interrupt: Callable[[bool], None] = _nothing  # ComfyUI's own, once it is imported

    def install(self, home: Home, memory: WorkerMemory) -> None:
        """Watch for the imports of the modules concerned."""
        if self._configuration.comfyui is None:
            return

        progress = Progress(home)
        actions: dict[str, Callable[[Any], None]] = {
            "comfy.utils": lambda module: module.set_progress_bar_global_hook(progress.hook),
            "comfy_execution.progress": progress.bridge,
            "comfy.cli_args": lambda module: cli_args.adopt(module, self._configuration),
            "comfy.model_management": lambda module: self._watch_management(home, memory, module),
            # Imported by a node while it runs: too late for `begin`.
            "comfy_execution.utils": lambda module: _set_node_context(module, home.running.current()),
            "comfy_execution.graph_utils": lambda module: _set_graph_prefix(module, home.running.current()),
        }
        sys.meta_path.insert(0, _AfterImport(actions))

    def begin(self, call: RunningCall) -> None:
        """A call begins in the present context: make it known where ComfyUI's code looks for it."""
        if self._configuration.comfyui is None:
            return
        self._set_interrupt(False)
        _set_node_context(sys.modules.get("comfy_execution.utils"), call)
        _set_graph_prefix(sys.modules.get("comfy_execution.graph_utils"), call)

    def interrupt(self) -> None:
        """A call was cancelled (called on the reading thread)."""
        self._set_interrupt(True)

    def _watch_management(self, home: Home, memory: WorkerMemory, module: Any) -> None:
        """A node may interrupt the run it belongs to: ComfyUI hears of it."""
        memory.watch(module)
        self._set_interrupt = here = module.interrupt_current_processing

        def interrupt_current_processing(value: bool = True) -> None:
            here(value)
            home.tell("interrupt", bool(value))

        module.interrupt_current_processing = interrupt_current_processing


def _nothing(value: bool) -> None:
    pass


def _set_node_context(module: Any, call: RunningCall | None) -> None:
    """For `get_executing_context` of comfy_execution.utils."""
    if module is None or call is None or call.context.get("node_id") is None:
        return
    facts = call.context
    context = module.ExecutionContext(facts.get("prompt_id"), facts["node_id"], facts.get("list_index"))
    module.current_executing_context.set(context)


def _set_graph_prefix(module: Any, call: RunningCall | None) -> None:
    """Node ids that a GraphBuilder makes begin with the id of the node that makes them."""
    if module is not None and call is not None and call.context.get("node_id") is not None:
        module.GraphBuilder.set_default_prefix(
            call.context["node_id"], call.context.get("list_index") or 0, 0
        )


class _AfterImport:
    """A meta path finder that runs an action after a module was executed."""

    def __init__(self, actions: dict[str, Callable[[Any], None]]) -> None:
        self._actions = actions

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system."""
        action = self._actions.get(fullname)
        if action is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _LoaderThen(spec.loader, action)  # type: ignore[assignment]
        return spec


class _LoaderThen:
    """A loader with an action behind it."""

    def __init__(self, loader: Any, action: Callable[[Any], None]) -> None:
        self._loader = loader
        self._action = action

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        """As the real loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the real loader, then the action."""
        self._loader.exec_module(module)
        self._action(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
