"""Inputs that may have changed since the worker described them: listings of directories, remote lists, random values.

What ComfyUI shows is always the last known answer. When the page asks for the nodes and the site's worker runs anyway,
that is asked for all of them, and whoever asks next gets what it says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comfy_env_core.comfyui.nodes.input_types import InputTypes
from comfy_env_core.comfyui.nodes.node_calls import ClassKey, NodeCaller

log = logging.getLogger("comfy-env")

#: The page asks for each node of each pack at once; that is one refresh. A worker gets no more of them than that.
INTERVAL_S = 2.0


class InputRefresher:
    """Keeps the inputs of a site's classes up to date. `inputs`: grows as proxies are made."""

    def __init__(
        self,
        inputs: Mapping[ClassKey, InputTypes],
        caller: NodeCaller,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inputs = inputs
        self._caller = caller
        self._clock = clock
        self._not_before = float("-inf")
        self._is_waiting = False

    def asked(self) -> None:
        """ComfyUI asked a class for its inputs: refreshes them all in the background if it is time.

        ComfyUI's server answers the page on the main thread; its other thread runs nodes, and asks before each of them:
        that must not keep the worker from the node.
        """
        if self._is_waiting or self._clock() < self._not_before:
            return
        if threading.current_thread() is not threading.main_thread():
            return
        self._not_before = self._clock() + INTERVAL_S
        keys = list(self._inputs)
        self._is_waiting = True  # before the call: the answer may be quicker than its return
        if not self._caller.describe_inputs(keys, lambda answers: self._take(keys, answers)):
            self._is_waiting = False

    def _take(self, keys: Sequence[ClassKey], answers: Sequence[Mapping[str, Any]] | None) -> None:
        self._is_waiting = False
        if answers is None:
            return
        described = dict(zip(keys, answers, strict=True))
        changed = [
            key for key, inputs in self._inputs.items() if key in described and inputs.update(described[key])
        ]
        if changed:
            log.debug("Inputs changed: %s", ", ".join(name for _, name in changed))
            self._caller.remember_inputs(described)
