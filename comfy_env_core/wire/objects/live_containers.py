"""Lists and dicts of an object of another process, as copies whose changes are made there as well.

`model.model_options["transformer_options"]["x"] = 1` is how packs talk to ComfyUI's models; on a mere copy it would do
nothing, unseen. Each change is one round trip, told by its place in the attribute: the owner's container may have
changed in other places meanwhile. What is put in is sent as ever; `copy` and `deepcopy` give plain containers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

#: `edit(path, method, positional, named)` does the same at the owner.
Edit = Callable[[Sequence[Any], str, Sequence[Any], Mapping[str, Any]], object]

#: The methods of dict and list that change them; no others are performed from afar.
EDITS = frozenset(
    (
        *("__delitem__", "__iadd__", "__imul__", "__ior__", "__setitem__", "append", "clear", "extend"),
        *("insert", "pop", "popitem", "remove", "reverse", "setdefault", "sort", "update"),
    )
)


def follow(value: Any, edit: Edit, path: tuple[Any, ...] = ()) -> Any:
    """A dict or list, and those in it, in a form that tells its changes; any other value as it is."""
    if type(value) is dict:
        return LiveDict({key: follow(item, edit, (*path, key)) for key, item in value.items()}, edit, path)
    if type(value) is list:
        return LiveList([follow(item, edit, (*path, index)) for index, item in enumerate(value)], edit, path)
    return value


def edit_container(container: Any, path: Sequence[Any], method: str, positional: Any, named: Any) -> None:
    """At the owner. Raises what the method raises, and TypeError for what is no list or dict or no change."""
    for key in path:
        container = container[key]
    if not isinstance(container, (dict, list)) or method not in EDITS:
        raise TypeError(
            f"{method!r} of a {type(container).__name__} cannot be performed from another process"
        )
    getattr(container, method)(*positional, **named)


class LiveDict(dict):  # type: ignore[type-arg]  # whatever the owner's holds
    """A dict of the owner."""

    def __init__(self, value: dict[Any, Any], edit: Edit, path: tuple[Any, ...]) -> None:
        super().__init__(value)
        self._edit = edit
        self._path = path

    def _entries(self) -> Iterator[tuple[Any, Any]]:
        return iter(list(self.items()))

    def __deepcopy__(self, memo: Any) -> dict[Any, Any]:
        return copy.deepcopy(dict(self), memo)

    def __reduce_ex__(self, protocol: object) -> Any:
        return dict, (dict(self),)


class LiveList(list):  # type: ignore[type-arg]  # whatever the owner's holds
    """A list of the owner."""

    def __init__(self, value: list[Any], edit: Edit, path: tuple[Any, ...]) -> None:
        super().__init__(value)
        self._edit = edit
        self._path = path

    def _entries(self) -> Iterator[tuple[Any, Any]]:
        return iter(list(enumerate(self)))

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return copy.deepcopy(list(self), memo)

    def __reduce_ex__(self, protocol: object) -> Any:
        return list, (list(self),)


def _editing(base: Any, name: str) -> Callable[..., Any]:
    """A method that makes its change here, then there."""
    original = getattr(base, name)

    def method(self: Any, *positional: Any, **named: Any) -> Any:
        result = original(self, *positional, **named)
        self._edit(self._path, name, list(positional), named)
        _place_entries(self, base)
        return self[positional[0]] if name == "setdefault" else result

    method.__name__ = method.__qualname__ = name
    return method


def _place_entries(container: Any, base: Any) -> None:
    """Containers that were put in tell their changes from now on, and those that moved tell where they are."""
    for key, item in container._entries():
        path = (*container._path, key)
        if type(item) in (dict, list):
            base.__setitem__(container, key, follow(item, container._edit, path))
        elif isinstance(item, (LiveDict, LiveList)) and item._path != path:
            item._path = path
            _place_entries(item, dict if isinstance(item, dict) else list)


for _kind, _base in ((LiveDict, dict), (LiveList, list)):
    for _name in sorted(EDITS & set(dir(_base))):
        setattr(_kind, _name, _editing(_base, _name))
