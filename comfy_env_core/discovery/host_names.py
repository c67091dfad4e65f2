"""The names by which Python source shows that it needs ComfyUI, and those it can have without."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

# ComfyUI's own modules. `app` and `utils` are common names, so only the modules that ComfyUI has in them count.
HOST_MODULES = frozenset(
    (
        *("comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution", "comfy_extras"),
        *("nodes", "execution", "folder_paths", "server", "node_helpers", "latent_preview"),
        *("api_server", "comfyui_version", "cuda_malloc", "hook_breaker_ac10a0"),
        *("app.app_settings", "app.custom_node_manager", "app.frontend_management", "app.model_manager"),
        *("app.subgraph_manager", "app.user_manager"),
        *("utils.extra_config", "utils.install_util", "utils.json_util"),
    )
)

TORCH_FAMILY = frozenset(("torch", "torchvision", "torchaudio"))

ALL = "*"

# What the worker's stand-ins offer in an environment without ComfyUI.
LEAN_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "folder_paths": frozenset((ALL,)),
        "server": frozenset(("PromptServer",)),
        "comfy.utils": frozenset(("ProgressBar", "set_progress_bar_global_hook")),
        "comfy.model_management": frozenset(
            (
                "InterruptProcessingException",
                "interrupt_current_processing",
                "processing_interrupted",
                "throw_exception_if_processing_interrupted",
            )
        ),
    }
)


class Reach(Enum):
    """How far into ComfyUI a dotted name reaches."""

    NOT_HOST = "not of ComfyUI"
    STAND_IN = "something a stand-in offers"
    MODULE = "a module that has a stand-in, or a package around one"
    COMFYUI = "something only ComfyUI has"


def reach(dotted: str) -> Reach:
    """How far `dotted` ("comfy.utils.ProgressBar") reaches into ComfyUI."""
    if not any(_is_or_is_in(dotted, module) for module in HOST_MODULES):
        return Reach.NOT_HOST
    for module, names in LEAN_NAMES.items():
        if dotted == module or module.startswith(dotted + "."):
            return Reach.MODULE
        if _is_or_is_in(dotted, module):
            first = dotted[len(module) + 1 :].partition(".")[0]
            return Reach.STAND_IN if ALL in names or first in names else Reach.COMFYUI
    return Reach.COMFYUI


def is_whole_module_lean(dotted: str) -> bool:
    """Whether a module may be handed on as an object because all of it has a stand-in."""
    return ALL in LEAN_NAMES.get(dotted, ())


def _is_or_is_in(dotted: str, module: str) -> bool:
    return dotted == module or dotted.startswith(module + ".")
