"""What isolated nodes change in the lists and dicts they are given, done to ComfyUI's own.

The next node, the history and the saved picture then have what they would have without isolation.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec


class OpenInputs:
    """The inputs of the calls under way, by a token that goes along with the call."""

    def __init__(self) -> None:
        self._tokens = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[int, Mapping[str, Any]] = {}

    def open(self, request: Mapping[str, Any]) -> int | None:
        """A token for the lists and dicts among the request's inputs, None if there are none. `close` it."""
        inputs = itertools.chain(
            request["args"], request["kwargs"].values(), (request.get("hidden") or {}).values()
        )
        if not any(isinstance(value, (dict, list, tuple)) for value in inputs):
            return None
        token = next(self._tokens)
        with self._lock:
            self._open[token] = request
        return token

    def close(self, token: int | None) -> None:
        """The call is over."""
        if token is not None:
            with self._lock:
                self._open.pop(token, None)

    def change(self, asker: WorkerSpec, token: int, changes: Sequence[Sequence[Any]]) -> None:
        """Does to the inputs what the node did to its copies; `changes`: see `comfy_env_core.worker.nodes.inputs`.

        Raises LookupError when ComfyUI's own have another shape by now. Of a call that is over nothing is changed.
        """
        request = self._open.get(token)
        if request is None:
            return
        # Everything is looked up before anything is changed: paths are those of before the call.
        steps = [(_find(request, path), edit, _places(request, edit)) for path, edit in changes]
        for target, edit, values in steps:
            _change(target, edit, values)


def _find(request: Mapping[str, Any], path: Sequence[Any]) -> Any:
    found: Any = request
    try:
        for key in path:
            found = found[key]
    except (LookupError, TypeError) as error:
        raise LookupError(
            f"A node changed its input {path!r}, and ComfyUI's own has another shape by now ({error!r})"
        ) from error
    return found


def _places(request: Mapping[str, Any], edit: Mapping[str, Any]) -> list[Any]:
    places: Iterable[Sequence[Any]] = edit.get("items") or (place for _, place in edit.get("put", ()))
    return [place[0] if len(place) == 1 else _find(request, place[1]) for place in places]


def _change(target: Any, edit: Mapping[str, Any], values: list[Any]) -> None:
    if "whole" in edit:
        _replace_content(target, edit["whole"])
    elif "items" in edit:
        target[edit["start"] : edit["stop"]] = values
    else:
        for (key, _), value in zip(edit["put"], values, strict=True):
            target[key] = _of_the_same_kind(target.get(key), value)
        for key in edit["drop"]:
            target.pop(key, None)
        if edit["order"] is not None:
            _replace_content(target, {key: target[key] for key in edit["order"] if key in target})


def _replace_content(target: Any, content: Any) -> None:
    if isinstance(target, dict):
        target.clear()
        target.update(content)
    elif isinstance(target, list):
        target[:] = content


def _of_the_same_kind(before: Any, value: Any) -> Any:
    """An array of a worker without torch takes the place of a tensor as a tensor."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(before, torch.Tensor) or type(value).__module__ != "numpy":
        return value
    return torch.from_numpy(value)
