"""The lists, dicts and sets of the host's `folder_paths`, as the worker sees them.

They are real lists, dicts and sets. Whatever changes one is done to the host's own first; whatever reads one looks at
the host's before, since ComfyUI and other packs change it as well. C code that reads one directly (json, say) sees the
state of the last look.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Protocol

from comfy_env_core.wire.values.folder_changes import CHANGING_METHODS, Address

_READING: Mapping[Any, str] = {
    dict: "__contains__ __eq__ __getitem__ __iter__ __len__ __ne__ __or__ __repr__ copy get items keys values",
    list: "__add__ __contains__ __eq__ __getitem__ __iter__ __len__ __ne__ __repr__ __reversed__ copy count index",
    set: "__and__ __contains__ __eq__ __iter__ __len__ __ne__ __or__ __repr__ __sub__ copy difference intersection "
    "isdisjoint issubset issuperset union",
}


class Source(Protocol):
    """Where the truth is."""

    def read(self, address: Address) -> Any:
        """What is at a place of the host's module now. Raises LookupError if nothing is."""

    def change(self, address: Address, operation: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Does something to it; gives what that returns, raises what it raises."""


def view(source: Source, address: tuple[Any, ...], content: Any) -> Any:
    """A view of what the host has at a place, where `content` is there now; plain values as they are."""
    if type(content) is tuple:
        return tuple(view(source, (*address, index), item) for index, item in enumerate(content))
    kind = _KINDS.get(type(content))
    if kind is None:
        return content
    made: Any = kind()
    made._source, made._address = source, address
    _fill(made, content)
    return made


def address_of(value: Any) -> Optional[Address]:
    """The place of a view, None for anything else."""
    return value._address if type(value) in _KINDS.values() else None


def refresh(seen: Any) -> None:
    """Look at the host's."""
    try:
        content = seen._source.read(seen._address)
    except LookupError:
        return  # no longer part of the host's: a list of its own, as in ComfyUI
    _fill(seen, content)


def _fill(seen: Any, content: Any) -> None:
    if isinstance(seen, list):
        list.__setitem__(seen, slice(None), content)
    elif isinstance(seen, set):
        set.clear(seen)
        set.update(seen, content)
    else:
        known = dict(dict.items(seen))
        dict.clear(seen)
        for key, item in content.items():
            place = (*seen._address, key)
            dict.__setitem__(seen, key, _kept(known.get(key), item) or view(seen._source, place, item))


def _kept(known: Any, content: Any) -> Any:
    """The view that stood for it until now, brought up to date, so that who holds one sees what comes; None if none did
    or it is of another kind."""
    if type(content) is tuple and type(known) is tuple and len(known) == len(content):
        parts = [_kept(*pair) for pair in zip(known, content)]
        return known if all(part is seen for part, seen in zip(parts, known)) else None
    if _KINDS.get(type(content)) is not type(known) or address_of(known) is None:
        return None
    _fill(known, content)
    return known


def _reading(base: type, name: str) -> Callable[..., Any]:
    method = getattr(base, name)

    @functools.wraps(method)
    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        refresh(self)
        return method(self, *args, **kwargs)

    return read


def _changing(base: type, name: str) -> Callable[..., Any]:
    @functools.wraps(getattr(base, name))
    def change(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = self._source.change(self._address, name, args, kwargs)
        refresh(self)
        if name.startswith("__i"):
            return self
        return self[args[0]] if name == "setdefault" else result

    return change


def _view_of(base: type) -> type:
    members: dict[str, Any] = {name: _reading(base, name) for name in _READING[base].split()}
    members.update((name, _changing(base, name)) for name in CHANGING_METHODS[base])
    # A view equals its content, and only a set of objects could want it hashable.
    members["__hash__"] = None
    members["__reduce_ex__"] = lambda self, protocol: (base, (base.__call__(self),))
    return type(base.__name__, (base,), members)


_KINDS = {base: _view_of(base) for base in (dict, list, set)}
