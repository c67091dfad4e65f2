"""Constants and INPUT_TYPES as JSON that keeps what ComfyUI looks at, and back.

JSON knows no tuples, sets, infinities, or strings that claim to equal everything. These become objects with one
key that starts with "$"; anything that has no meaning outside its process becomes `{"$opaque": type name}`.
"""

from __future__ import annotations

import base64
import enum
import math
import pathlib
from collections.abc import Callable, KeysView, ValuesView
from typing import Any

PROBE = "\x00comfy-env probe"
MAX_DEPTH = 50
# A constant with more elements than this is data, not a description of a node.
MAX_ELEMENTS = 200_000

Lookup = Callable[[str], "list[str] | None"]


class FolderList(list):  # type: ignore[type-arg]  # a list of file names
    """File names as `folder_paths.get_filename_list(folder)` gave them; remembers the folder."""

    folder: str = ""


class Opaque(str):  # noqa: SLOT000
    """Stands for a value that stayed behind; reads as its type name."""


class Wildcard(str):  # noqa: SLOT000
    """A type name that is unequal to nothing. `__eq__` stays: ComfyUI compares `type == "INT"` to convert."""

    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return False


class AcceptingDict(dict):  # type: ignore[type-arg]  # input declarations of any shape
    """A dict that claims to hold every key; missing ones have one default."""

    def __init__(self, items: Any, default: Any, has_default: bool) -> None:
        super().__init__(items)
        self._default = default
        self._has_default = has_default

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: object) -> Any:
        if not self._has_default:
            raise KeyError(key)
        return self._default


class AcceptingTuple(tuple):  # type: ignore[type-arg]  # noqa: SLOT001  # return types of any kind
    """A tuple that has an element at every index."""

    default: Any = None

    def __getitem__(self, index: Any) -> Any:
        try:
            return super().__getitem__(index)
        except IndexError:
            return self.default


def is_wildcard(text: str) -> bool:
    """Whether a text claims to be unequal to nothing."""
    try:
        return not text != PROBE  # noqa: SIM202  # only `!=` is wrong about it
    except Exception:  # noqa: BLE001  # a comparison of foreign code
        return False


def default_beyond(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """`(element,)` that a tuple gives for an index it does not have, () if it has none, as any honest tuple."""
    try:
        return (value[tuple.__len__(value) + 5],)
    except Exception:  # noqa: BLE001  # the normal case, by whatever foreign method
        return ()


def default_for_any_key(value: dict[Any, Any]) -> tuple[Any, ...] | None:
    """`(value,)` that a dict gives for a key it does not have, () if it only claims to have it, else None."""
    if type(value) is dict or PROBE not in value:
        return None
    try:
        return (value[PROBE],)
    except Exception:  # noqa: BLE001  # foreign code again
        return ()


def freeze(value: Any) -> Any:
    """JSON-able data for a value; never raises for one, whatever foreign code it is made of."""
    return _Freezer().freeze(value, 0)


def thaw(frozen: Any, lookup: Lookup | None = None) -> Any:
    """The value of what `freeze` gave. `lookup(folder)` gives today's file names of a model folder, or None."""
    if isinstance(frozen, list):
        return [thaw(item, lookup) for item in frozen]
    if not isinstance(frozen, dict):
        return frozen
    tag = next(iter(frozen), "")
    build = _THAW.get(tag)
    if build is None:
        return {key: thaw(item, lookup) for key, item in frozen.items()}
    return build(frozen, lookup)


class _Freezer:
    def __init__(self) -> None:
        self._elements = 0

    def freeze(self, value: Any, depth: int) -> Any:
        self._elements += 1
        if depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            return {"$opaque": _type_name(value)}
        try:
            return self._freeze(value, depth + 1)
        except Exception:  # noqa: BLE001  # subclasses with methods of their own; an odd constant must not lose a node
            return {"$opaque": _type_name(value)}

    def _freeze(self, value: Any, depth: int) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, enum.Enum):
            return self.freeze(value.value, depth)
        if isinstance(value, str):
            return _freeze_text(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if isinstance(value, int):
            return int(value)
        if isinstance(value, FolderList):
            return {"$folder": value.folder, "items": [self.freeze(item, depth) for item in value]}
        if isinstance(value, (list, KeysView, ValuesView, range)):
            return [self.freeze(item, depth) for item in value]
        if isinstance(value, tuple):
            return self._freeze_tuple(value, depth)
        if isinstance(value, dict):
            return self._freeze_dict(value, depth)
        return self._freeze_rest(value, depth)

    def _freeze_rest(self, value: Any, depth: int) -> Any:
        if isinstance(value, (set, frozenset)):
            return {"$set": [self.freeze(item, depth) for item in sorted(value, key=repr)]}
        if isinstance(value, bytes):
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        if isinstance(value, pathlib.PurePath):
            return {"$path": str(value)}
        if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", ()):
            return self.freeze(value.item(), depth)
        return {"$opaque": _type_name(value)}

    def _freeze_tuple(self, value: tuple[Any, ...], depth: int) -> Any:
        items = [self.freeze(item, depth) for item in tuple.__iter__(value)]
        if type(value) is tuple:
            return {"$tuple": items}
        default = default_beyond(value)
        return {"$tuple": items, "default": self.freeze(default[0], depth)} if default else {"$tuple": items}

    def _freeze_dict(self, value: dict[Any, Any], depth: int) -> Any:
        pairs = [(key, self.freeze(item, depth)) for key, item in dict.items(value)]
        plain = all(type(key) is str and not key.startswith("$") for key, _ in pairs)
        default = default_for_any_key(value)
        if plain and default is None:
            return dict(pairs)
        frozen: dict[str, Any] = {"$dict": [[self.freeze(key, depth), item] for key, item in pairs]}
        if default is not None:
            frozen["accepts_all"] = True
        if default:
            frozen["default"] = self.freeze(default[0], depth)
        return frozen


def _freeze_text(value: str) -> Any:
    text = str.__str__(value)
    return {"$wildcard": text} if is_wildcard(value) else text


def _type_name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _thaw_dict(frozen: dict[str, Any], lookup: Lookup | None) -> Any:
    items = {thaw(key, lookup): thaw(item, lookup) for key, item in frozen["$dict"]}
    if not frozen.get("accepts_all"):
        return items
    return AcceptingDict(items, thaw(frozen.get("default"), lookup), "default" in frozen)


def _thaw_tuple(frozen: dict[str, Any], lookup: Lookup | None) -> Any:
    items = [thaw(item, lookup) for item in frozen["$tuple"]]
    if "default" not in frozen:
        return tuple(items)
    accepting = AcceptingTuple(items)
    accepting.default = thaw(frozen["default"], lookup)
    return accepting


def _thaw_folder(frozen: dict[str, Any], lookup: Lookup | None) -> Any:
    current = lookup(frozen["$folder"]) if lookup is not None else None
    return list(frozen["items"]) if current is None else list(current)


_THAW: dict[str, Callable[[dict[str, Any], "Lookup | None"], Any]] = {
    "$tuple": _thaw_tuple,
    "$dict": _thaw_dict,
    "$folder": _thaw_folder,
    "$set": lambda frozen, lookup: {thaw(item, lookup) for item in frozen["$set"]},
    "$float": lambda frozen, lookup: float(frozen["$float"]),
    "$bytes": lambda frozen, lookup: base64.b64decode(frozen["$bytes"]),
    "$path": lambda frozen, lookup: pathlib.Path(frozen["$path"]),
    "$wildcard": lambda frozen, lookup: Wildcard(frozen["$wildcard"]),
    "$opaque": lambda frozen, lookup: Opaque(frozen["$opaque"]),
}
