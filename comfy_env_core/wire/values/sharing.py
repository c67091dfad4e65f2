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
    seen: set[int] = set()
    shared: set[int] = set()
    pending = [value]
    keepalive = []
    while pending:
        item = pending.pop()
        kind = type(item)
        if kind in _SCALARS:
            continue
        identity = id(item)
        if kind is dict or kind in _MAPPINGS:
            children: Any = item.values()
        elif kind in _SEQUENCES:
            children = item
        elif kind in _BUFFERS:
            shared.add(identity)
            continue
        else:
            children = _parts_of(item, kind)
            if children is None:
                continue
            keepalive.append(children)  # so that no other object gets an id of theirs
        if identity in seen:
            if kind is list or kind is dict:
                shared.add(identity)
            continue
        seen.add(identity)
        if not _SCALARS.issuperset(map(type, children)):
            pending.extend(children)
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
