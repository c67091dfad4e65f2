"""ComfyUI's `folder_paths`, answered for a worker. Imports nothing else of ComfyUI: an installation uses it as well."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import folder_paths

from comfy_env_core.wire.values.file_lists import files_in
from comfy_env_core.wire.values.folder_changes import (
    CHANGING_FUNCTIONS,
    CHANGING_METHODS,
    Address,
    decode,
)

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec

log = logging.getLogger("comfy-env")


class Folders:
    """`folder_paths` as workers may use it. One for this process: it knows what was done for which site."""

    def __init__(self) -> None:
        self._done_at_import: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def answer(self, asker: WorkerSpec, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Calls a public function of `folder_paths`. Raises what it raises, and AttributeError for anything else.

        One name is no function: "__getattr__" (args: name) reads a member.
        """
        if function == "__getattr__":
            return _read_member(args[0])
        if "function" not in _read_member(function):
            raise AttributeError(f"folder_paths.{function} is no function.")
        return getattr(folder_paths, function)(*args, **kwargs)

    def change(self, asker: WorkerSpec, change: Sequence[Any], at_import: bool) -> Any:
        """Does what a pack does to `folder_paths`; `change`: see `wire.values.folder_changes`. Raises what it raises.

        What a module does when it is imported is done once, as in a ComfyUI without workers, which imports it once.
        """
        return self._do_once(asker.site_id, change) if at_import else _do(change)

    def repeat(self, site_id: str, changes: Iterable[Sequence[Any]]) -> None:
        """Does what is known of a site's modules from their descriptions: no worker runs that would do it."""
        for change in changes:
            try:
                self._do_once(site_id, change)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                log.warning("%s: %r cannot be done to folder_paths any more (%s)", site_id, change, error)

    def _do_once(self, site_id: str, change: Sequence[Any]) -> Any:
        key = json.dumps(change)
        with self._lock:
            done = self._done_at_import.setdefault(site_id, set())
            if key in done:
                return None
            done.add(key)
        try:
            return _do(change)
        except BaseException:
            done.discard(key)
            raise


class HostFiles:
    """Today's files: the `Files` of `wire.values.file_lists`."""

    def in_folder(self, folder: str) -> list[str] | None:
        """As ComfyUI's own nodes list them; None when it has no folder of that name."""
        if folder not in folder_paths.folder_names_and_paths:
            return None
        names: list[str] = folder_paths.get_filename_list(folder)
        return names

    def in_directory(self, directory: str) -> list[str] | None:
        """The files right in "input", "output" or "temp", sorted; None for any other name."""
        path = folder_paths.get_directory_by_type(directory)
        return files_in(path) if path is not None else None


def _do(change: Sequence[Any]) -> Any:
    address, operation, args, kwargs = change
    args = [decode(value, folder_paths, _find) for value in args]
    kwargs = {name: decode(value, folder_paths, _find) for name, value in kwargs.items()}
    if address:
        target = _find(address)
        if operation not in CHANGING_METHODS.get(type(target), ()):
            raise AttributeError(f"folder_paths.{address[0]} has no {operation!r} for workers.")
        result = getattr(target, operation)(*args, **kwargs)
        return None if result is target else result
    if operation == "__setattr__":
        name, value = args
        if name.startswith("_") or callable(getattr(folder_paths, name, None)):
            raise AttributeError(f"folder_paths.{name} cannot be set by a worker.")
        setattr(folder_paths, name, value)
        return None
    if operation not in CHANGING_FUNCTIONS:
        raise AttributeError(f"folder_paths.{operation} changes nothing.")
    return getattr(folder_paths, operation)(*args, **kwargs)


def _find(address: Address) -> Any:
    found = _read_member(address[0])["value"]
    for key in address[1:]:
        found = found[key]
    return found


def _read_member(name: str) -> dict[str, Any]:
    """A public constant by value, or the word that it is a function. Raises AttributeError for anything else."""
    if name.startswith("_"):
        raise AttributeError(f"folder_paths.{name} is private and not available to workers.")
    member = getattr(folder_paths, name)
    if callable(member):
        if getattr(member, "__module__", None) != folder_paths.__name__:
            raise AttributeError(f"folder_paths.{name} is no function of folder_paths.")
        return {"function": True}
    return {"value": member}
