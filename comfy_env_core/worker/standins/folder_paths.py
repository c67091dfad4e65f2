"""`folder_paths`, answered by the host: its model folders are the truth, also for paths added later.

What a pack changes while it is imported is noted for its description, so that ComfyUI knows a pack's model folders also
when no worker was started.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from types import FrameType, ModuleType
from typing import Any, Optional

from comfy_env_core.wire.values.file_lists import file_names
from comfy_env_core.wire.values.folder_changes import CHANGING_FUNCTIONS, Address, encode
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.standins.folder_views import address_of, refresh, view

# Known by name, so that looking one up asks nobody. The host is asked about any other name.
FUNCTIONS = CHANGING_FUNCTIONS | {
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
}


def fill(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """Everything is looked up when it is used."""
    folders = HostFolders(home, configuration.host_facts.get("folder_paths") or {})
    vars(module)["get_filename_list"] = functools.partial(_filename_list, home)
    module.__class__ = type("module", (_Module,), {"_comfy_env_folders": folders})


class HostFolders:
    """The host's module as the source of views. `constants`: its members that do not change, by name."""

    def __init__(self, home: Home, constants: Mapping[str, Any]) -> None:
        self._home = home
        self._constants = constants
        self._views: dict[str, Any] = {}

    def member(self, name: str) -> Any:
        """An attribute of the module. Raises AttributeError."""
        if name in FUNCTIONS:
            return functools.partial(self._call, name)
        if name in self._constants:
            return self._constants[name]
        if name in self._views:
            refresh(self._views[name])
            return self._views[name]
        answer = self._home.folder_paths("__getattr__", [name])
        if answer.get("function"):
            return functools.partial(self._call, name)
        made = view(self, (name,), answer["value"])
        if address_of(made) is not None:
            self._views[name] = made
        return made

    def assign(self, name: str, value: Any) -> None:
        """Set an attribute of the module."""
        self._views.pop(name, None)
        self.change((), "__setattr__", [name, value], {})

    def read(self, address: Address) -> Any:
        """See `Source`."""
        found = self._home.folder_paths("__getattr__", [address[0]])["value"]
        for key in address[1:]:
            found = found[key]
        return found

    def change(self, address: Address, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """See `Source`. What is done while a module is imported is noted, and not done again when a new worker imports
        the module again."""
        told = [
            list(address),
            operation,
            [encode(value, self._constants, address_of) for value in args],
            {name: encode(value, self._constants, address_of) for name, value in kwargs.items()},
        ]
        at_import = _is_importing()
        if at_import:
            self._home.folder_changes.append(told)
        return self._home.ask("folder_paths_change", told, at_import)

    def _call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        if function in CHANGING_FUNCTIONS:
            return self.change((), function, args, kwargs)
        return self._home.folder_paths(function, args, kwargs)


class _Module(ModuleType):
    """What is set on it is set in the host; a function that a pack replaces is replaced for its own process."""

    _comfy_env_folders: HostFolders

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module 'folder_paths' has no attribute {name!r}")
        return type(self)._comfy_env_folders.member(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or callable(value):
            super().__setattr__(name, value)
        else:
            self._comfy_env_folders.assign(name, value)


def _filename_list(home: Home, folder_name: str) -> list[str]:
    return file_names(folder_name, home.folder_paths("get_filename_list", [folder_name]))


def _is_importing() -> bool:
    """Whether the top level of a module is being run: that happens once, whatever runs again."""
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
        frame = frame.f_back
    return False
