"""The functions and constants of `comfy_env`."""

from __future__ import annotations

import functools
import importlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from comfy_env_core.compat.backend import Backend, Say
from comfy_env_core.compat.callers import calling_directory
from comfy_env_core.compat.files import copy_files, input_files
from comfy_env_core.compat.names import REFUSED_WHEN_CALLED
from comfy_env_core.compat.nodes import register_nodes

Decorated = TypeVar("Decorated")


class Surface:
    """All names with a meaning, by name, see `names`."""

    def __init__(self, backend: Backend, version: str) -> None:
        self._backend = backend
        self.public: dict[str, Any] = {
            "install": self.install,
            "setup_env": _do_nothing,
            "register_nodes": register_nodes,
            "copy_files": copy_files,
            "register_serializer": self.register_serializer,
            "input_files": input_files,
        }
        self.names: dict[str, Any] = {
            **self.public,
            "__version__": version,
            # Earlier generations.
            "isolated": self.isolated,
            "wrap_isolated_nodes": self.wrap_isolated_nodes,
            "wrap_nodes": _do_nothing,
            "enable_isolation": _do_nothing,
            "setup_isolated_imports": _do_nothing,
            # Equivalents of what was never promised.
            "get_comfyui_dir": get_comfyui_dir,
            "find_comfyui_dir_from_node": get_comfyui_dir,
            "get_workspace_dir": self.get_workspace_dir,
            "get_cache_dir": self.get_cache_dir,
            "find_blender": find_blender,
            "CONFIG_FILE_NAME": "comfy-env.toml",
            "ROOT_CONFIG_FILE_NAME": "comfy-env-root.toml",
            "USE_COMFY_ENV_VAR": "USE_COMFY_ENV",
            **{name: _refusing(name, advice) for name, advice in REFUSED_WHEN_CALLED.items()},
        }

    def install(
        self,
        config: str | Path | None = None,
        node_dir: str | Path | None = None,
        log_callback: Say | None = None,
        dry_run: bool = False,
        mode: str | None = None,
        **older: Any,
    ) -> bool:
        """Has the environments of the calling pack built; True when that is so, or under way.

        `config` names a file of the pack, of any generation; `mode` ("isolated", "inplace") and further arguments of
        older releases change nothing: nothing is ever installed into the Python that calls.
        """
        directory = Path(node_dir) if node_dir is not None else calling_directory()
        if config is not None and not (directory / config).is_file():
            raise FileNotFoundError(
                f"install(config={str(config)!r}) of the pack {str(directory)!r}: there is no such file in it."
            )
        return dry_run or self._backend.install(directory, log_callback)

    def isolated(self, decorated: Any = None, **options: Any) -> Any:
        """A decorator of releases before 0.1: code that runs here already runs where the file says."""
        self._backend.refuse_to_isolate("@isolated", calling_directory())
        return decorated if decorated is not None else _unchanged

    def wrap_isolated_nodes(self, mappings: Mapping[str, Any], nodes_dir: str | Path) -> Mapping[str, Any]:
        """The mappings as they are: nodes imported from an isolated directory are isolated."""
        self._backend.refuse_to_isolate("wrap_isolated_nodes()", Path(nodes_dir))
        return mappings

    def register_serializer(
        self, type_name: str, serialize: Any, deserialize: Any = None, tag: str | None = None
    ) -> None:
        """`serialize(object, recurse)` gives what travels for objects of the class, `deserialize` the object again."""
        source = calling_directory()
        self._backend.register_serializer(type_name, serialize, deserialize, tag or type_name, source)

    def get_workspace_dir(self, comfyui_dir: Any = None) -> Path:
        """Where environments are."""
        return self._backend.store

    def get_cache_dir(self) -> Path:
        """Where downloads are kept."""
        return self._backend.store / "cache"


def get_comfyui_dir(node_dir: Any = None) -> Path | None:
    """ComfyUI's base directory; None where there is no ComfyUI."""
    try:
        return Path(importlib.import_module("folder_paths").base_path)
    except ImportError:
        return None


def find_blender(directory: str | Path | None = None) -> Path | None:
    """A Blender in `PATH`, or in a folder below `directory`; None if there is none."""
    found = shutil.which("blender")
    if found is None and directory is not None:
        places = [str(place) for place in sorted(Path(directory).glob("*")) if place.is_dir()]
        found = next((each for place in places if (each := shutil.which("blender", path=place))), None)
    return Path(found) if found is not None else None


def _do_nothing(*args: Any, **options: Any) -> None:
    """Nothing is left to do."""


def _unchanged(decorated: Decorated) -> Decorated:
    return decorated


def _refusing(name: str, advice: str) -> Callable[..., Any]:
    @functools.wraps(_do_nothing, assigned=())
    def refuse(*args: Any, **options: Any) -> Any:
        raise RuntimeError(f"comfy_env.{name} cannot be used with comfy-env manager: {advice}.")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse
