"""`folder_paths`, answered by the host: its model folders are the truth, also for paths added later."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from comfy_env_core.wire.values.file_lists import file_names
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home

# Known by name, so that looking one up asks nobody. The host is asked about any other name.
FUNCTIONS = frozenset(
    {
        "add_model_folder_path",
        "annotated_filepath",
        "exists_annotated_filepath",
        "filter_files_content_types",
        "filter_files_extensions",
        "get_annotated_filepath",
        "get_directory_by_type",
        "get_folder_paths",
        "get_full_path",
        "get_full_path_or_raise",
        "get_input_directory",
        "get_input_subfolders",
        "get_output_directory",
        "get_public_user_directory",
        "get_save_image_path",
        "get_system_user_directory",
        "get_temp_directory",
        "get_user_directory",
        "map_legacy",
        "recursive_search",
        "set_input_directory",
        "set_output_directory",
        "set_temp_directory",
        "set_user_directory",
    }
)


def fill(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """Everything is looked up when it is used."""
    constants = configuration.host_facts.get("folder_paths") or {}

    def look_up(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module 'folder_paths' has no attribute {name!r}")
        if name in FUNCTIONS:
            return functools.partial(_call, home, name)
        if name == "folder_names_and_paths":
            return ModelFolders(home)
        if name in constants:
            return constants[name]
        answer = home.folder_paths("__getattr__", [name])
        return functools.partial(_call, home, name) if answer.get("function") else answer["value"]

    module.__getattr__ = look_up  # type: ignore[method-assign]
    vars(module)["get_filename_list"] = functools.partial(_filename_list, home)


def _call(home: Home, function: str, *args: Any, **kwargs: Any) -> Any:
    return home.folder_paths(function, args, kwargs)


def _filename_list(home: Home, folder_name: str) -> list[str]:
    return file_names(folder_name, home.folder_paths("get_filename_list", [folder_name]))


class ModelFolders(dict):  # type: ignore[type-arg]  # folder name -> (paths, extensions), as in ComfyUI
    """A copy of the host's table that passes on what a pack adds to it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        answer = home.folder_paths("__getattr__", ["folder_names_and_paths"])
        super().__init__(
            (name, (ModelPaths(home, name, entry[0]), *entry[1:])) for name, entry in answer["value"].items()
        )

    def __setitem__(self, name: str, entry: Any) -> None:
        paths = [str(path) for path in entry[0]]
        self._home.folder_paths(
            "folder_names_and_paths.__setitem__", [name, (paths, *map(_plain_set, entry[1:]))]
        )
        super().__setitem__(name, (ModelPaths(self._home, name, paths), *entry[1:]))

    def setdefault(self, name: str, entry: Any = None) -> Any:
        """As dict's, and in the host."""
        if name not in self:
            self[name] = entry
        return self[name]

    def update(self, *others: Any, **named: Any) -> None:
        """As dict's, and in the host."""
        for name, entry in dict(*others, **named).items():
            self[name] = entry


class ModelPaths(list):  # type: ignore[type-arg]  # folder paths
    """The paths of one folder; one that is appended becomes known to the host."""

    def __init__(self, home: Home, folder: str, paths: Iterable[str]) -> None:
        super().__init__(paths)
        self._home = home
        self._folder = folder

    def append(self, path: Any) -> None:
        """As list's, and in the host."""
        self._home.folder_paths("add_model_folder_path", [self._folder, str(path)])
        super().append(path)

    def extend(self, paths: Iterable[Any]) -> None:
        """As list's, and in the host."""
        for path in paths:
            self.append(path)

    def insert(self, index: Any, path: Any) -> None:
        """As list's, and in the host: first means the default folder there."""
        self._home.folder_paths(
            "add_model_folder_path", [self._folder, str(path)], {"is_default": index == 0}
        )
        super().insert(index, path)


def _plain_set(value: Any) -> Any:
    return set(value) if isinstance(value, (set, frozenset, list, tuple)) else value
