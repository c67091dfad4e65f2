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

# What the worker offers in an environment without ComfyUI although only the host has it: constants come by value,
# classes and functions run in the host. See `worker/standins/live.py`.
LIVE_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "nodes": frozenset((ALL,)),
        "comfy.clip_vision": frozenset(("load",)),
        "comfy.controlnet": frozenset(("load_controlnet",)),
        "comfy.sample": frozenset(
            ("fix_empty_latent_channels", "prepare_noise", "prepare_sampling", "sample", "sample_custom")
        ),
        "comfy.samplers": frozenset(
            (
                *("CFGGuider", "KSAMPLER_NAMES", "KSampler", "SAMPLER_NAMES", "SCHEDULER_NAMES"),
                *("calculate_sigmas", "ksampler", "sample", "sampler_object"),
            )
        ),
        "comfy.sd": frozenset(
            (
                *("load_checkpoint", "load_checkpoint_guess_config", "load_clip", "load_diffusion_model"),
                *("load_gligen", "load_lora_for_models", "load_style_model", "load_unet"),
            )
        ),
        "latent_preview": frozenset(("prepare_callback",)),
    }
)

# Of those, what has nothing to do with tensors. Whoever calls the others gets tensors, or has to give them.
_WITHOUT_TENSORS = frozenset(
    (
        *("nodes.MAX_RESOLUTION", "nodes.NODE_DISPLAY_NAME_MAPPINGS", "comfy.samplers.KSAMPLER_NAMES"),
        *("comfy.samplers.KSampler.SAMPLERS", "comfy.samplers.KSampler.SCHEDULERS"),
        *("comfy.samplers.SAMPLER_NAMES", "comfy.samplers.SCHEDULER_NAMES"),
    )
)

_NODE_TYPES = frozenset(
    (
        *("CheckLazyMixin", "ComfyNodeABC", "FileLocator", "HiddenInputTypeDict", "IO", "InputTypeDict"),
        "InputTypeOptions",
    )
)

# All that the worker offers in such an environment.
LEAN_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **LIVE_NAMES,
        "folder_paths": frozenset((ALL,)),
        "node_helpers": frozenset(("conditioning_set_values", "pillow")),
        "server": frozenset(("BinaryEventTypes", "PromptServer", "aiohttp", "web")),
        "comfy.cli_args": frozenset(("args", "LatentPreviewMethod")),
        "comfy.comfy_types": _NODE_TYPES,
        "comfy.comfy_types.node_typing": _NODE_TYPES,
        "comfy.options": frozenset(("args_parsing", "enable_args_parsing")),
        "comfy.utils": frozenset(("ProgressBar", "set_progress_bar_global_hook")),
        "comfy.model_management": frozenset(
            (
                *("CPUState", "InterruptProcessingException", "OOM_EXCEPTION", "VRAMState", "cpu_mode"),
                *("cpu_state", "device_supports_non_blocking", "dtype_size", "force_channels_last"),
                *("get_autocast_device", "get_free_memory", "get_torch_device", "get_torch_device_name"),
                *("get_total_memory", "interrupt_current_processing", "intermediate_device"),
                *("is_device_cpu", "is_device_cuda", "is_device_mps", "is_device_type", "is_device_xpu"),
                *(
                    "is_intel_xpu",
                    "is_nvidia",
                    "minimum_inference_memory",
                    "mps_mode",
                    "processing_interrupted",
                ),
                *("pytorch_attention_enabled", "should_use_bf16", "should_use_fp16", "soft_empty_cache"),
                *("text_encoder_device", "text_encoder_dtype", "text_encoder_offload_device"),
                *("throw_exception_if_processing_interrupted", "total_ram", "total_vram", "unet_dtype"),
                *(
                    "unet_offload_device",
                    "unload_all_models",
                    "vae_device",
                    "vae_dtype",
                    "vae_offload_device",
                ),
                *("vram_state", "xformers_enabled"),
            )
        ),
        "comfy_execution.graph": frozenset(("ExecutionBlocker", "is_link")),
        "comfy_execution.graph_utils": frozenset(
            ("ExecutionBlocker", "GraphBuilder", "Node", "add_graph_prefix", "is_link")
        ),
        "comfy_execution.utils": frozenset(
            ("CurrentNodeContext", "ExecutionContext", "get_executing_context")
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
    for module in sorted(LEAN_NAMES, key=len, reverse=True):
        if dotted == module or module.startswith(dotted + "."):
            return Reach.MODULE
        if _is_or_is_in(dotted, module):
            names = LEAN_NAMES[module]
            first = dotted[len(module) + 1 :].partition(".")[0]
            return Reach.STAND_IN if ALL in names or first in names else Reach.COMFYUI
    return Reach.COMFYUI


def is_live(dotted: str) -> bool:
    """Whether it is of a module whose classes and functions stay in the host: there is no class to derive from."""
    return any(_is_or_is_in(dotted, module) for module in LIVE_NAMES)


def is_about_tensors(dotted: str) -> bool:
    """Whether who uses it gives tensors, devices or dtypes to the host, or gets them: its environment needs torch."""
    if dotted.startswith("comfy.model_management."):
        return "device" in dotted or "dtype" in dotted
    return (
        is_live(dotted)
        and dotted not in LIVE_NAMES
        and not any(_is_or_is_in(dotted, name) for name in _WITHOUT_TENSORS)
    )


def is_whole_module_lean(dotted: str) -> bool:
    """Whether a module may be handed on as an object because all of it has a stand-in."""
    return ALL in LEAN_NAMES.get(dotted, ())


def _is_or_is_in(dotted: str, module: str) -> bool:
    return dotted == module or dotted.startswith(module + ".")
