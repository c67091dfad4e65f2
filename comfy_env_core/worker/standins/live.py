"""Modules of ComfyUI whose names are the host's: constants by value, classes and functions as live handles.

For environments without ComfyUI's source. What is called runs in the host, with its models. A class is no class here:
it can be called and asked, but neither subclassed nor given to isinstance; `discovery.host_names` knows.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from comfy_env_core.worker.comfyui.host_nodes import TABLES, HostTable
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.standins import comfy

#: The host decides what of each can be had; discovery, which of them make an environment one without ComfyUI.
MODULES = (
    *("comfy.clip_vision", "comfy.controlnet", "comfy.sample", "comfy.samplers", "comfy.sd"),
    *("latent_preview", "nodes"),
)


def fill(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """Every name is asked for when it is used."""
    name_of_module = module.__name__

    def look_up(name: str) -> Any:
        # import * asks for __all__; other names of this kind are asked of every module.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {name_of_module!r} has no attribute {name!r}")
        return home.ask("host_member", name_of_module, name)

    module.__getattr__ = look_up  # type: ignore[method-assign]
    if name_of_module == "nodes":
        for table in TABLES:
            vars(module)[table] = HostTable(home, table, {}, configuration.module_name)


def fill_package(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy`: its modules are there without being imported one by one, as in ComfyUI, which has imported them all."""
    comfy.fill_package(module, home, configuration)
    absent = module.__getattr__

    def look_up(name: str) -> Any:
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except ImportError:
            return absent(name)

    module.__getattr__ = look_up  # type: ignore[method-assign]


def fill_model_management(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """Questions about devices, types and memory have the host's answers."""
    comfy.fill_model_management(module, home, configuration)
    absent = module.__getattr__

    def look_up(name: str) -> Any:
        if name == "OOM_EXCEPTION":
            return _out_of_memory()
        if name.startswith("_"):
            return absent(name)
        return home.ask("host_member", module.__name__, name)

    module.__getattr__ = look_up  # type: ignore[method-assign]


def _out_of_memory() -> type[BaseException]:
    """It is caught by class, so it has to be this process's own."""
    try:
        import torch  # noqa: PLC0415  # only who catches its error has it
    except ImportError:
        return MemoryError
    found: type[BaseException] = torch.cuda.OutOfMemoryError
    return found
