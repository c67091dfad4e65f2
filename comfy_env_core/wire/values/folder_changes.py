"""What a pack does to ComfyUI's `folder_paths`, as JSON: told by the worker, done and remembered by the host.

A change is `[address, operation, args, kwargs]`. `address` is the way to what is changed: [] for the module itself,
["folder_names_and_paths", "loras", 0] for the list of paths of "loras". `operation` is a method of a list, dict or set,
a function of the module, or "__setattr__" of the module.

In the arguments `{"$at": address}` stands for the very list, dict or set at that place, so that two entries may share
one, and `{"$below": [name, rest]}` for a path below a directory that has another place in another ComfyUI.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

Address = Sequence[Any]

#: Members of `folder_paths` that name the directories which paths are told by, the inner one first.
DIRECTORIES = ("models_dir", "base_path")

#: The functions that change something.
CHANGING_FUNCTIONS = frozenset(
    {
        "add_model_folder_path",
        "set_input_directory",
        "set_output_directory",
        "set_temp_directory",
        "set_user_directory",
    }
)

#: The methods that change a container and may be performed for a worker.
CHANGING_METHODS: Mapping[type, Sequence[str]] = {
    dict: ("__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"),
    list: (
        *("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "clear", "extend", "insert", "pop"),
        *("remove", "reverse", "sort"),
    ),
    set: (
        *("__iand__", "__ior__", "__isub__", "__ixor__", "add", "clear", "difference_update", "discard"),
        *("intersection_update", "pop", "remove", "symmetric_difference_update", "update"),
    ),
}

_SEQUENCES: Mapping[str, Callable[[Any], Any]] = {"$tuple": tuple, "$set": set}


def encode(value: Any, directories: Mapping[str, str], address_of: Callable[[Any], Optional[Address]]) -> Any:
    """JSON for an argument. `directories`: the worker's idea of DIRECTORIES; `address_of(container)`: where it is in
    `folder_paths`, None if it is not of it. Raises TypeError for what is no plain data."""
    address = address_of(value)
    if address is not None:
        return {"$at": list(address)}
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return _encode_text(value, directories)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    items = [] if isinstance(value, dict) or not hasattr(value, "__iter__") else list(value)
    encoded = [encode(item, directories, address_of) for item in items]
    if isinstance(value, list):
        return encoded
    if isinstance(value, tuple):
        return {"$tuple": encoded}
    if isinstance(value, (set, frozenset)):
        return {"$set": sorted(encoded, key=repr)}
    if isinstance(value, dict):
        pairs = [[encode(part, directories, address_of) for part in pair] for pair in value.items()]
        return {"$dict": pairs}
    if hasattr(value, "__next__") or hasattr(value, "__iter__"):
        return encoded
    raise TypeError(
        f"A {type(value).__name__} cannot be put into ComfyUI's folder_paths from an isolated pack: only texts, "
        "numbers, lists, tuples, sets and dicts of them can"
    )


def decode(encoded: Any, module: Any, find: Callable[[Address], Any]) -> Any:
    """The argument. `module` is the host's `folder_paths`, `find(address)` gives what is at a place in it."""
    if isinstance(encoded, list):
        return [decode(item, module, find) for item in encoded]
    if not isinstance(encoded, dict):
        return encoded
    ((tag, content),) = encoded.items()
    if tag == "$at":
        return find(content)
    if tag == "$below":
        return os.path.join(getattr(module, content[0]), content[1])
    if tag == "$dict":
        return {decode(key, module, find): decode(item, module, find) for key, item in content}
    return _SEQUENCES[tag](decode(item, module, find) for item in content)


def _encode_text(text: str, directories: Mapping[str, str]) -> Any:
    for name in DIRECTORIES:
        directory = directories.get(name)
        if directory and text.startswith(directory + os.sep):
            return {"$below": [name, text[len(directory) + 1 :]]}
    return str(text)
