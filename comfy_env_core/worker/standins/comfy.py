"""`comfy.utils.ProgressBar` and the interrupt names of `comfy.model_management`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from comfy_env_core.worker.comfyui.progress import Progress
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.running import InterruptProcessingException


def fill_package(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy` itself: nothing but its two modules."""
    _explain_absence(module, configuration)


def fill_utils(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy.utils`."""
    state = _ProgressState(home)
    members = {"_state": state, "__module__": "comfy.utils"}
    vars(module).update(
        ProgressBar=type("ProgressBar", (_ProgressBar,), members),
        set_progress_bar_global_hook=state.set_hook,
    )
    _explain_absence(module, configuration)


def fill_model_management(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy.model_management`."""
    vars(module).update(
        InterruptProcessingException=InterruptProcessingException,
        processing_interrupted=home.running.is_interrupted,
        throw_exception_if_processing_interrupted=home.running.raise_if_interrupted,
        interrupt_current_processing=_Interrupt(home).set,
    )
    _explain_absence(module, configuration)


class _Interrupt:
    """A node may interrupt the run it belongs to."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def set(self, value: bool = True) -> None:
        call = self._home.running.current()
        if call is not None:
            (call.incoming.cancelled.set if value else call.incoming.cancelled.clear)()
        self._home.tell("interrupt", bool(value))


class _ProgressState:
    """Where progress goes: to the host, unless a pack set a hook of its own."""

    def __init__(self, home: Home) -> None:
        self.hook: Any = Progress(home).hook

    def set_hook(self, function: Any) -> None:
        self.hook = function


class _ProgressBar:
    """As ComfyUI's, with the same arguments."""

    _state: _ProgressState

    def __init__(self, total: Any, node_id: str | None = None) -> None:
        self.total = total
        self.current = 0
        self.node_id = node_id
        self.hook = self._state.hook

    def update_absolute(self, value: Any, total: Any = None, preview: Any = None) -> None:
        """Set the progress; raises the interrupt exception if the run was cancelled."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        if self.hook is not None:
            self.hook(self.current, self.total, preview, node_id=self.node_id)

    def update(self, value: Any) -> None:
        """Advance the progress."""
        self.update_absolute(self.current + value)


def _explain_absence(module: ModuleType, configuration: Configuration) -> None:
    def absent(name: str) -> Any:
        raise AttributeError(
            f"{module.__name__}.{name} is not there: the environment of {configuration.pack_name!r} was built without "
            'ComfyUI. Add host = "comfyui" under [options] in its comfy-env.toml.'
        )

    module.__getattr__ = absent  # type: ignore[method-assign]
