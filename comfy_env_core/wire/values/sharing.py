"""Which containers of a value occur in it more than once."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from types import SimpleNamespace
from typing import Any

from comfy_env_core.wire.objects.parcel import Parcel
from comfy_env_core.wire.values.classes import attributes_of

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_SEQUENCES = frozenset({list, tuple, set, frozenset, deque})
_MAPPINGS = frozenset({dict, OrderedDict, defaultdict})
_BUFFERS = frozenset({bytearray, memoryview})


def find_shared(value: Any) -> set[int]:
    """The ids of lists and dicts that are reached twice, through containers and dataclasses; any cycle has one. And of
    writable buffers, which msgpack would take for bytes."""
    if type(value) in _SCALARS:
        return set()
    seen: set[int] = set()
    shared: set[int] = set()
    keepalive = []
    pending = [
        value
    ]  # grows while it is walked: nothing in it may be freed, or another object could get its id
    for item in pending:
        kind = type(item)
        identity = id(item)
        if identity in seen:
            if kind is list or kind is dict:
                shared.add(identity)
            continue
        children: Any
        if kind is list or kind in _SEQUENCES:
            children = item
        elif kind is dict or kind in _MAPPINGS:
            children = item.values()
        elif kind in _BUFFERS:
            shared.add(identity)
            continue
        else:
            children = _parts_of(item, kind)
            if children is None:
                continue
            keepalive.append(children)
        seen.add(identity)
        for child in children:
            if type(child) not in _SCALARS:
                pending.append(child)  # noqa: PERF401  # twice as fast as a comprehension for the few there usually are
    return shared


def _parts_of(item: Any, kind: type) -> list[Any] | None:
    """What a composite value has in it, None if it is none of those that travel by value."""
    if hasattr(kind, "__dataclass_fields__"):
        return list(attributes_of(item).values())
    if issubclass(kind, tuple):
        return list(tuple.__iter__(item))
    if kind is SimpleNamespace:
        return list(vars(item).values())
    return [item.content] if kind is Parcel else None
