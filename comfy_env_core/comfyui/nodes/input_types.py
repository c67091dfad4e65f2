"""What a proxy answers to INPUT_TYPES: at once, from what the worker last said, with today's files filled in."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from comfy_env_core.comfyui.nodes.node_calls import NodeCaller
from comfy_env_core.wire.values.snapshot import thaw

#: What marks a list of files in a frozen value.
_FILES = ('"$files"', '"$uploads"')


class InputTypes:
    """Of one node class. Never raises: ComfyUI would drop the node from /object_info."""

    def __init__(self, entry: Mapping[str, Any], caller: NodeCaller, on_asked: Callable[[], None]) -> None:
        self._caller = caller
        self._on_asked = on_asked
        self._frozen: Mapping[str, Any] = {}
        self._answers: dict[str, _Answer] = {}
        self.update(entry)

    def update(self, entry: Mapping[str, Any]) -> bool:
        """Takes over what the worker says now (the `input_types…` of a description); False if that is nothing new."""
        answers = {"": entry["input_types"], **entry["input_types_by_caller"]}
        if answers[""] is None:  # it raised, or there are none
            if self._frozen:
                return False
            answers[""] = {"required": {}}
        if answers == self._frozen:
            return False
        self._frozen = answers
        self._answers = {caller: _Answer(frozen) for caller, frozen in answers.items()}
        return True

    def get(self) -> Any:
        """The inputs, as those get them that called our caller.

        Some packs answer ComfyUI's own functions differently; who asks is looked up for these alone.
        """
        self._on_asked()
        answer = self._answers[""]
        if len(self._answers) > 1:
            asker = sys._getframe(2).f_code.co_name
            answer = self._answers.get(asker, answer)
        return answer.get(self._caller)


class _Answer:
    """Looked into when it is first asked for: thousands of nodes are known at a start, and few of them are used."""

    def __init__(self, frozen: Any) -> None:
        self._frozen = frozen

    @functools.cached_property
    def _has_files(self) -> bool:
        text = json.dumps(self._frozen)
        return any(mark in text for mark in _FILES)

    @functools.cached_property
    def _value(self) -> Any:
        return thaw(self._frozen)

    def get(self, caller: NodeCaller) -> Any:
        return thaw(self._frozen, caller.files) if self._has_files else _fresh(self._value)


def _fresh(value: Any) -> Any:
    """A copy of the containers with the same leaves: callers may change what they got, as with the real method.

    Exact types only: subclasses are tricks with a behaviour of their own and are handed out as they are.
    """
    if type(value) is dict:
        return {key: _fresh(item) for key, item in value.items()}
    if type(value) is list:
        return [_fresh(item) for item in value]
    if type(value) is tuple:
        return tuple(_fresh(item) for item in value)
    return value
