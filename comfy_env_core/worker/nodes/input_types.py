"""Asks a V1 node class for its INPUT_TYPES, as ComfyUI would.

Some packs look at who calls: ComfyUI's `get_input_info` gets another answer than the page does. So a class that walks
the stack is asked once more by a function of the name and depth of each of ComfyUI's own callers.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from comfy_env_core.wire.values.snapshot import freeze

#: ComfyUI's functions that call INPUT_TYPES, each with the function that calls it (server.py, execution.py, graph.py
#: and caching.py of comfy_execution, 0.3.52 to 0.3.75).
CALLERS = {
    "node_info": "get_object_info",
    "validate_inputs": "validate_prompt",
    "get_input_data": "execute",
    "get_input_info": "get_input_info",
    "include_unique_id_in_input": "get_immediate_node_signature",
}


def describe_input_types(kind: Any) -> dict[str, Any]:
    """`input_types` (frozen, None if there are none or it raised), `input_types_error` (text or None), and
    `input_types_by_caller` (caller's name → frozen) for those answers that depend on who asks."""
    described: dict[str, Any] = {"input_types": None, "input_types_error": None, "input_types_by_caller": {}}
    if not hasattr(kind, "INPUT_TYPES"):
        return described
    looked: list[bool] = []
    try:
        with _noticing_stack_walks(looked):
            answer = _ask(kind, "node_info")
        described["input_types"] = usual = freeze(answer)
        if looked:
            answers = {caller: freeze(_ask(kind, caller)) for caller in CALLERS}
            described["input_types_by_caller"] = {
                caller: answer for caller, answer in answers.items() if answer != usual
            }
    except BaseException as error:  # noqa: BLE001  # SystemExit of foreign code as well: the other nodes still work
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
        described.update(input_types=None, input_types_error=text, input_types_by_caller={})
    return described


def _ask(kind: Any, caller: str) -> Any:
    def ask() -> Any:
        return kind.INPUT_TYPES()

    def ask_through() -> Any:
        return inner()

    inner = _renamed(ask, caller)
    return _renamed(ask_through, CALLERS[caller])()


def _renamed(function: Callable[[], Any], name: str) -> Callable[[], Any]:
    """The function as the stack shows it under another name."""
    function.__code__ = function.__code__.replace(co_name=name)
    return function


@contextlib.contextmanager
def _noticing_stack_walks(looked: list[bool]) -> Iterator[None]:
    """Appends to `looked` for each use of `sys._getframe`, which everything in `inspect` goes through."""
    original = sys._getframe

    def noticing(depth: int = 0) -> Any:
        looked.append(True)
        return original(depth + 1)

    sys._getframe = noticing
    try:
        yield
    finally:
        sys._getframe = original
