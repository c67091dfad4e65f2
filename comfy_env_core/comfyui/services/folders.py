"""ComfyUI's `folder_paths`, answered for a worker. Imports nothing else of ComfyUI: an installation uses it as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import folder_paths

from comfy_env_core.wire.values.file_lists import files_in

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec


def answer(asker: WorkerSpec, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Calls a public function of `folder_paths`. Raises what it raises, and AttributeError for anything else.

    Two names are no functions: "__getattr__" (args: name) reads a member, "folder_names_and_paths.__setitem__" (args:
    name, (paths, extensions)) registers a folder.
    """
    if function == "__getattr__":
        return _read_member(args[0])
    if function == "folder_names_and_paths.__setitem__":
        name, (paths, extensions) = args
        folder_paths.folder_names_and_paths[name] = (list(paths), set(extensions))
        return None
    if "function" not in _read_member(function):
        raise AttributeError(f"folder_paths.{function} is no function.")
    return getattr(folder_paths, function)(*args, **kwargs)


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
