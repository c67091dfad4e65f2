"""What a node changed in the lists and dicts it was given.

In ComfyUI's own process a node that writes into an input writes into the very object that the next node gets. Here it
writes into a copy, so what it wrote is found after the call and sent home. `changes` gives a list of `[path, edit]`;
`path` is the way to a list or dict: ["kwargs", "extra_pnginfo", "workflow", "nodes", 3]. An edit is one of

- `{"put": [[key, place], ...], "drop": [key, ...], "order": [key, ...] or None}` for a dict,
- `{"start": int, "stop": int, "items": [place, ...]}` for a list: these take the place of that slice,
- `{"whole": value}` for a large list or dict: its new content.

A place is `[value]`, or `[None, path]` for an object that was among the inputs before the call: the host has the
original. Tensors and arrays are not looked into: a node cannot change those of another.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Optional

import msgpack  # type: ignore[import-untyped]

Path = tuple[Any, ...]

#: Of an input with more elements no copy is kept to compare with: a digest tells whether it changed at all.
MAX_ELEMENTS = 200_000
_CHUNK = 1000

_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
_CONTAINERS = frozenset({list, dict, tuple})


class InputWatch:
    """The state of a request's inputs before the node runs. Costs nothing when there is no list or dict among them."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._details = _Details()
        self._large: list[tuple[Path, Any, bytes]] = []
        for part in ("args", "kwargs", "hidden"):
            inputs = request.get(part)
            if inputs:
                pairs = inputs.items() if type(inputs) is dict else enumerate(inputs)
                for key, value in pairs:
                    if type(value) in _CONTAINERS:
                        self._add((part, key), value)

    def changes(self) -> list[Any]:
        """What changed since, empty if nothing did."""
        found = self._details.changes()
        found += [
            [list(path), {"whole": value}] for path, value, digest in self._large if _digest(value) != digest
        ]
        return found

    def _add(self, path: Path, value: Any) -> None:
        if not self._details.add(path, value):
            self._large.append((path, value, _digest(value)))


class _Details:
    """Copies of lists and dicts, one level each: what they hold is not copied."""

    def __init__(self) -> None:
        self._kept: list[tuple[Path, Any, Any]] = []
        self._paths: dict[
            int, Path
        ] = {}  # id of a container or object -> where it was; `_kept` holds them all

    def add(self, path: Path, value: Any) -> bool:
        """Keep a value and all below it; False, and nothing kept, if there is too much of it."""
        kept: list[tuple[Path, Any, Any]] = []
        paths: dict[int, Path] = {}
        elements = 0
        pending = [(path, value)]
        for where, item in pending:  # grows while it is walked
            if id(item) in paths or id(item) in self._paths:
                continue
            paths[id(item)] = where
            kind = type(item)
            if kind not in _CONTAINERS:
                continue
            elements += len(item)
            if elements > MAX_ELEMENTS:
                return False
            kept.append((where, item, item if kind is tuple else item.copy()))
            for key, child in item.items() if kind is dict else enumerate(item):
                if type(child) not in _SCALARS:
                    pending.append(((*where, key), child))  # twice as fast as a comprehension
        self._kept += kept
        self._paths.update(paths)
        return True

    def changes(self) -> list[Any]:
        found = []
        for path, now, before in self._kept:
            edit = self._edit(before, now)
            if edit is not None:
                found.append([list(path), edit])
        return found

    def _edit(self, before: Any, now: Any) -> Optional[dict[str, Any]]:
        if type(now) is tuple or (len(before) == len(now) and _is_identical(before, now)):
            return None
        return self._edit_dict(before, now) if type(now) is dict else self._edit_list(before, now)

    def _edit_dict(self, before: dict[Any, Any], now: dict[Any, Any]) -> Optional[dict[str, Any]]:
        put = [
            [key, self._place(value)]
            for key, value in now.items()
            if key not in before or not _is_same(before[key], value)
        ]
        drop = [key for key in before if key not in now]
        order = list(now)
        naturally = [key for key in before if key in now] + [key for key in now if key not in before]
        if not put and not drop and order == naturally:
            return None
        return {"put": put, "drop": drop, "order": None if order == naturally else order}

    def _edit_list(self, before: list[Any], now: list[Any]) -> Optional[dict[str, Any]]:
        shorter = min(len(before), len(now))
        start = 0
        while start < shorter and _is_same(before[start], now[start]):
            start += 1
        same_at_end = 0
        while same_at_end < shorter - start and _is_same(before[-1 - same_at_end], now[-1 - same_at_end]):
            same_at_end += 1
        stop, end = len(before) - same_at_end, len(now) - same_at_end
        if start == stop and start == end:
            return None
        return {"start": start, "stop": stop, "items": [self._place(value) for value in now[start:end]]}

    def _place(self, value: Any) -> list[Any]:
        path = None if type(value) in _SCALARS else self._paths.get(id(value))
        return [value] if path is None else [None, list(path)]


def _is_identical(before: Any, now: Any) -> bool:
    """Whether two containers of one length hold the same objects."""
    if not all(map(operator.is_, before, now)):
        return False
    return type(now) is not dict or all(map(operator.is_, before.values(), now.values()))


def _is_same(before: Any, now: Any) -> bool:
    """Whether a receiver could not tell them apart."""
    if before is now:
        return True
    kind = type(now)
    return kind is type(before) and kind in _SCALARS and bool(before == now)


def _digest(value: Any) -> bytes:
    """Changes with the content of a container; objects in it count by identity."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which few workers need

    digest = hashlib.blake2b(digest_size=16)
    packer = msgpack.Packer(default=_stand_for, strict_types=True, unicode_errors="surrogatepass")
    pending = [value]
    for container in pending:  # grows while it is walked
        digest.update(f"{type(container).__name__} {len(container)};".encode())
        parts = [list(container), list(container.values())] if type(container) is dict else [container]
        for items in parts:
            for begin in range(0, len(items), _CHUNK):
                chunk = items[begin : begin + _CHUNK]
                pending += filter(_is_large, chunk)
                digest.update(_packed(packer, [None if _is_large(item) else item for item in chunk]))
    return digest.digest()


def _is_large(value: Any) -> bool:
    return type(value) in _CONTAINERS and len(value) > _CHUNK


def _packed(packer: Any, items: Any) -> bytes:
    try:
        return bytes(packer.pack(items))
    except (OverflowError, ValueError):  # a giant integer, or something that contains itself
        packer.reset()
        return repr(items).encode("utf-8", "backslashreplace")


def _stand_for(value: Any) -> Any:
    return list(value) if type(value) is tuple else id(value)
