"""Ties ComfyUI's own modules, where an environment has them, to the host: progress, interrupt, node context.

ComfyUI keeps this state in module globals. The modules are adjusted right after they are imported, whenever that
is, so a pack that never imports them pays nothing.
"""

from __future__ import annotations

import contextvars
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.running import RunningCall


class Bridges:
    """Does nothing in an environment without ComfyUI's source."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def install(self, home: Home) -> None:
        """Watch for the imports of the modules concerned."""
        if self._configuration.comfyui is None:
            return

        def hook(value: Any, total: Any, preview: Any, prompt_id: Any = None, node_id: Any = None) -> None:
            home.progress(value, total, preview, node_id)

        arguments = self._configuration.host_facts.get("cli_args") or {}
        actions: dict[str, Callable[[Any], None]] = {
            "comfy.utils": lambda module: module.set_progress_bar_global_hook(hook),
            "comfy.cli_args": lambda module: vars(module.args).update(arguments),
        }
        sys.meta_path.insert(0, _AfterImport(actions))

    def begin(self, call: RunningCall) -> None:
        """A call begins in the present context: make it known where ComfyUI's code looks for it."""
        if self._configuration.comfyui is None:
            return
        self._set_interrupt(False)
        facts = call.context
        node_id, index = facts.get("node_id"), facts.get("list_index")
        execution: Any = sys.modules.get("comfy_execution.utils")
        if execution is not None and node_id is not None:
            context = execution.ExecutionContext(facts.get("prompt_id"), node_id, index)
            variable: contextvars.ContextVar[Any] = execution.current_executing_context
            variable.set(context)
        graph: Any = sys.modules.get("comfy_execution.graph_utils")
        if graph is not None and node_id is not None:
            graph.GraphBuilder.set_default_prefix(node_id, index or 0, 0)

    def interrupt(self) -> None:
        """A call was cancelled (called on the reading thread)."""
        self._set_interrupt(True)

    def _set_interrupt(self, value: bool) -> None:
        management: Any = sys.modules.get("comfy.model_management")
        switch = getattr(management, "interrupt_current_processing", None)
        if switch is not None:
            switch(value)


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
