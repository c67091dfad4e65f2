"""Which containers of a value occur in it more than once."""

from __future__ import annotations

from typing import Any

from comfy_env_core.wire.classes import attributes_of

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})


def find_shared(value: Any) -> set[int]:
    """The ids of lists and dicts that are reached twice, through plain containers and dataclasses. Any cycle has one."""
    seen: set[int] = set()
    shared: set[int] = set()
    pending = [value]
    keepalive = []
    while pending:
        item = pending.pop()
        kind = type(item)
        if kind in _SCALARS:
            continue
        if kind not in _CONTAINERS:
            if not hasattr(kind, "__dataclass_fields__") or id(item) in seen:
                continue
            seen.add(id(item))
            item, kind = attributes_of(item), dict
            keepalive.append(item)  # so that no other object gets its id
        identity = id(item)
        if identity in seen:
            if kind is list or kind is dict:
                shared.add(identity)
            continue
        seen.add(identity)
        children = item.values() if kind is dict else item
        if not _SCALARS.issuperset(map(type, children)):
            pending.extend(children)
    return shared
