"""The node calls under way: whose progress it is, and who is interrupted."""

from __future__ import annotations

import contextvars
import os
import sys
from collections.abc import Mapping
from typing import Any

from comfy_env_core.wire.calls import IncomingCall
from comfy_env_core.worker.nodes.inputs import InputWatch


class InterruptProcessingException(Exception):  # ComfyUI's name, which packs import
    """The user cancelled the run. The host knows it by module and name."""


InterruptProcessingException.__module__ = "comfy.model_management"


class RunningCall:
    """One node call.

    `context`: prompt_id, node_id, list_index of the node, and client_id, last_node_id, last_prompt_id of ComfyUI's
    server. `inputs`: the host's token for the call's inputs and their state before it, None if nobody asks for it.
    """

    def __init__(self, incoming: IncomingCall, context: Mapping[str, Any]) -> None:
        self.incoming = incoming
        self.context = context
        self.inputs: tuple[Any, InputWatch] | None = None
        self.pid = os.getpid()

    @property
    def is_cancelled(self) -> bool:
        """Whether the host asked it to stop."""
        return self.incoming.cancelled.is_set()


class RunningCalls:
    """All of them. Node code may ask from threads of its own, which inherit no context: then the call that
    began last is meant."""

    def __init__(self) -> None:
        self._current: contextvars.ContextVar[RunningCall | None] = contextvars.ContextVar(
            "call", default=None
        )
        self._calls: list[RunningCall] = []

    def begin(self, call: RunningCall) -> None:
        """Make it the current one of this context."""
        self._calls.append(call)
        self._current.set(call)

    def end(self, call: RunningCall) -> None:
        """It answers now; saying so twice does no harm."""
        if call in self._calls:
            self._calls.remove(call)

    def current(self) -> RunningCall | None:
        """The call the asking code belongs to, None outside of any (at import)."""
        call = self._current.get()
        if call is None and self._calls:
            call = self._calls[-1]
        return call

    def fact(self, name: str) -> Any:
        """A fact of the current call's context, None if there is none."""
        call = self.current()
        return None if call is None else call.context.get(name)

    def is_interrupted(self) -> bool:
        """Whether the current call was cancelled."""
        call = self.current()
        return call is not None and call.is_cancelled

    def raise_if_interrupted(self) -> None:
        """Raise ComfyUI's exception for it if the current call was cancelled."""
        if self.is_interrupted():
            raise interrupt_exception()


def interrupt_exception() -> type[BaseException]:
    """ComfyUI's own class where ComfyUI is loaded, else ours of the same name."""
    module = sys.modules.get("comfy.model_management")
    found = getattr(module, "InterruptProcessingException", None)
    return found if isinstance(found, type) else InterruptProcessingException
