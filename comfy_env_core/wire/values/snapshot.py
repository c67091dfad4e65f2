"""Constants and INPUT_TYPES as JSON that keeps what ComfyUI looks at, and back.

JSON knows no tuples, sets, infinities, texts with comparisons of their own, or lists of today's files. These become
objects whose first key starts with "$"; anything that has no meaning outside its process becomes
`{"$opaque": type name}`.
"""

from __future__ import annotations

import base64
import enum
import math
import pathlib
from collections.abc import Callable, KeysView, ValuesView
from typing import Any, Optional

from comfy_env_core.wire.values import file_lists, odd_containers
from comfy_env_core.wire.values.file_lists import Files
from comfy_env_core.wire.values.type_names import comparisons, type_name

MAX_DEPTH = 50
# A constant with more elements than this is data, not a description of a node.
MAX_ELEMENTS = 200_000


class Opaque(str):  # noqa: SLOT000
    """Stands for a value that stayed behind; reads as its type name."""


def freeze(value: Any) -> Any:
    """JSON-able data for a value; never raises for one, whatever foreign code it is made of."""
    return _Freezer().freeze(value, 0)


def thaw(frozen: Any, files: Optional[Files] = None) -> Any:
    """The value of what `freeze` gave. `files` knows today's files; without it they are those of that time."""
    if isinstance(frozen, list):
        return [thaw(item, files) for item in frozen]
    if not isinstance(frozen, dict):
        return frozen
    tag = next(iter(frozen), "")
    build = _THAW.get(tag)
    if build is None:
        return {key: thaw(item, files) for key, item in frozen.items()}
    return build(frozen, files)


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
        if isinstance(
            value, str
        ):  # members of a str enum as well: ComfyUI's own `IO.ANY` is a wildcard by its methods
            return _freeze_text(value)
        if isinstance(value, enum.Enum):
            return self.freeze(value.value, depth)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if isinstance(value, int):
            return int(value)
        if isinstance(value, list):
            return self._freeze_list(value, depth)
        if isinstance(value, tuple):
            return self._freeze_tuple(value, depth)
        if isinstance(value, (KeysView, ValuesView, range)):
            return [self.freeze(item, depth) for item in value]
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
        if not isinstance(value, type) and hasattr(value, "__contains__") and hasattr(value, "__getitem__"):
            # No dict at all, but ComfyUI finds every input in it.
            default = odd_containers.default_for_any_key(value)
            if default is not None:
                return self._accepting({"$dict": []}, default, depth)
        return {"$opaque": _type_name(value)}

    def _freeze_list(self, value: list[Any], depth: int) -> Any:
        spans = file_lists.freeze_files(value)
        if spans is not None:
            return {"$files": [{**span, "items": self.freeze(span["items"], depth)} for span in spans]}
        return self._freeze_items(list(list.__iter__(value)), depth)

    def _freeze_tuple(self, value: tuple[Any, ...], depth: int) -> Any:
        frozen = {"$tuple": self._freeze_items(list(tuple.__iter__(value)), depth)}
        if type(value) is tuple:
            return frozen
        oddities = {
            "answers": self.freeze(odd_containers.answers(value), depth),
            "beyond": self.freeze(list(odd_containers.beyond(value)), depth),
            "length": odd_containers.claimed_length(value),
        }
        return {**frozen, **{name: oddity for name, oddity in oddities.items() if oddity not in ([], None)}}

    def _freeze_items(self, held: list[Any], depth: int) -> list[Any]:
        """The elements; the first of them may be choices, and the second the options of that input."""
        items = [self.freeze(item, depth) for item in held]
        if len(held) > 1 and isinstance(held[0], list):
            items[0] = file_lists.freeze_uploads(held[0], held[1]) or items[0]
        return items

    def _freeze_dict(self, value: dict[Any, Any], depth: int) -> Any:
        pairs = [(key, self.freeze(item, depth)) for key, item in dict.items(value)]
        if isinstance(dict.get(value, "options"), list):
            uploads = file_lists.freeze_uploads(value["options"], value)
            pairs = [(key, uploads if uploads and key == "options" else item) for key, item in pairs]
        default = odd_containers.default_for_any_key(value)
        if default is None and all(type(key) is str and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        frozen: dict[str, Any] = {"$dict": [[self.freeze(key, depth), item] for key, item in pairs]}
        return frozen if default is None else self._accepting(frozen, default, depth)

    def _accepting(self, frozen: dict[str, Any], default: tuple[Any, ...], depth: int) -> dict[str, Any]:
        frozen["accepts_all"] = True
        if default:
            frozen["default"] = self.freeze(default[0], depth)
        return frozen


def _freeze_text(value: str) -> Any:
    text = str.__str__(value)
    own = comparisons(value)
    return text if own is None else {"$type": text, **own}


def _type_name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _thaw_dict(frozen: dict[str, Any], files: Optional[Files]) -> Any:
    items = {thaw(key, files): thaw(item, files) for key, item in frozen["$dict"]}
    if not frozen.get("accepts_all"):
        return items
    default = thaw(frozen.get("default"), files)
    return odd_containers.AcceptingDict(items, default, "default" in frozen)


def _thaw_tuple(frozen: dict[str, Any], files: Optional[Files]) -> Any:
    items = [thaw(item, files) for item in frozen["$tuple"]]
    if len(frozen) == 1:
        return tuple(items)
    made = odd_containers.AcceptingTuple(items)
    made.answers = thaw(frozen.get("answers", []), files)
    made.beyond = thaw(frozen.get("beyond", []), files)
    made.length = frozen.get("length")
    return made


_THAW: dict[str, Callable[[dict[str, Any], "Optional[Files]"], Any]] = {
    "$tuple": _thaw_tuple,
    "$dict": _thaw_dict,
    "$files": lambda frozen, files: file_lists.thaw_files(thaw(frozen["$files"]), files),
    "$uploads": file_lists.thaw_uploads,
    "$set": lambda frozen, files: {thaw(item, files) for item in frozen["$set"]},
    "$float": lambda frozen, files: float(frozen["$float"]),
    "$bytes": lambda frozen, files: base64.b64decode(frozen["$bytes"]),
    "$path": lambda frozen, files: pathlib.Path(frozen["$path"]),
    "$type": lambda frozen, files: type_name(
        frozen["$type"], frozen["accepts"], frozen["equals"], frozen["names"]
    ),
    "$opaque": lambda frozen, files: Opaque(frozen["$opaque"]),
}
