"""ComfyUI's model code, run in the host where its models are.

In an environment with ComfyUI's source a pack imports the real modules. Of their functions, the ones below run in the
host instead: those that use a model (if an argument is, or contains, an object of the host), and those that load one
(if all arguments are plain: what other nodes will use belongs into the process that keeps models and their memory).
Everything else, and the same functions with objects of this process, runs here as it always did.
"""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from comfy_env_core.wire.objects.handles import Borrowed
from comfy_env_core.worker.home import Home

#: They use a model that they are given. Names as of ComfyUI 0.3.52 to 0.3.75; one that is missing is passed over.
USING: Mapping[str, tuple[str, ...]] = {
    "comfy.lora": ("model_lora_keys_clip", "model_lora_keys_unet"),
    "comfy.sample": (
        *("cleanup_additional_models", "fix_empty_latent_channels", "prepare_sampling"),
        *("sample", "sample_custom"),
    ),
    "comfy.sampler_helpers": (
        *("cleanup_models", "estimate_memory", "get_additional_models", "prepare_model_patcher"),
        "prepare_sampling",
    ),
    "comfy.samplers": ("calc_cond_batch", "calculate_sigmas", "process_conds", "sample", "sampling_function"),
    "comfy.sd": ("load_lora_for_models", "save_checkpoint"),
    "latent_preview": ("prepare_callback",),
    "nodes": ("common_ksampler",),
}

#: The same for classes, when they are called; subclasses of a pack stay here.
USING_CLASSES: Mapping[str, tuple[str, ...]] = {
    "comfy.model_patcher": ("ModelPatcher",),
    "comfy.samplers": ("CFGGuider", "KSampler"),
}

#: They load a model from files, or make what uses one.
LOADING: Mapping[str, tuple[str, ...]] = {
    "comfy.clip_vision": ("load",),
    "comfy.controlnet": ("load_controlnet",),
    "comfy.sd": (
        *("load_checkpoint", "load_checkpoint_guess_config", "load_clip", "load_diffusion_model"),
        *("load_gligen", "load_style_model", "load_unet"),
    ),
    "comfy.samplers": ("ksampler", "sampler_object"),
}

#: The same for classes.
LOADING_CLASSES: Mapping[str, tuple[str, ...]] = {"comfy.sd": ("VAE",)}

MODULES = frozenset([*USING, *USING_CLASSES, *LOADING, *LOADING_CLASSES])

#: Nodes of ComfyUI beyond `nodes`.
EXTRA_NODES = "comfy_extras."

#: How deep arguments are searched: conditioning is [[tensor, {"control": object}]], pipes are dicts of such.
_DEPTH = 6


class Hosting:
    """Changes modules of ComfyUI right after they were imported."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def is_concerned(self, module: str) -> bool:
        """Whether `adjust` has something to do for a module."""
        return module in MODULES or module.startswith(EXTRA_NODES)

    def adjust(self, module: ModuleType) -> None:
        """Let the functions above, and the nodes that the module defines, decide where they run."""
        name = module.__name__
        for function in USING.get(name, ()):
            self._route(module, function, holds_host_object)
        for function in LOADING.get(name, ()):
            self._route(module, function, is_plain)
        for kind in USING_CLASSES.get(name, ()):
            self._route_class(module, kind, holds_host_object)
        for kind in LOADING_CLASSES.get(name, ()):
            self._route_class(module, kind, is_plain)
        if name == "nodes" or name.startswith(EXTRA_NODES):
            for node in _node_classes(module):
                self._route_node(name, node)

    def call(self, module: str, qualname: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call something of ComfyUI's in the host and wait; raises what it raises."""
        return self._home.ask("host_call", module, qualname, list(args), dict(kwargs))

    def _route(self, module: ModuleType, name: str, goes: Callable[[Any], bool]) -> None:
        original = vars(module).get(name)
        if isinstance(original, FunctionType):
            # Not by setattr: what is written into `nodes` is told in the log.
            vars(module)[name] = self._routed(original, module.__name__, name, goes)

    def _route_class(self, module: ModuleType, name: str, goes: Callable[[Any], bool]) -> None:
        kind = vars(module).get(name)
        if not isinstance(kind, type):
            return

        def make(cls: Any, *args: Any, **kwargs: Any) -> Any:
            # Without arguments it is made by copying.
            if cls is kind and (args or kwargs) and goes((args, kwargs)):
                return self.call(module.__name__, name, args, kwargs)
            return object.__new__(cls)

        kind.__new__ = make  # type: ignore[assignment]  # as a class body would

    def _route_node(self, module: str, node: Any) -> None:
        """A node's function: FUNCTION of a V1 class, the class method `execute` of a V3 class."""
        if "define_schema" in vars(node):
            execute = vars(node).get("execute")
            if isinstance(execute, classmethod):
                node.execute = self._routed_classmethod(execute.__func__, module, node.__qualname__)
            return
        name = getattr(node, "FUNCTION", None)
        function = vars(node).get(name) if isinstance(name, str) else None
        if isinstance(name, str) and isinstance(function, FunctionType):
            setattr(node, name, self._routed_method(function, module, f"{node.__qualname__}.{name}"))

    def _routed(self, original: Any, module: str, qualname: str, goes: Callable[[Any], bool]) -> Any:
        @functools.wraps(original)
        def function(*args: Any, **kwargs: Any) -> Any:
            if goes((args, kwargs)):
                return self.call(module, qualname, args, kwargs)
            return original(*args, **kwargs)

        return function

    def _routed_method(self, original: Any, module: str, qualname: str) -> Any:
        """The instance stays here: ComfyUI's nodes that use models keep nothing in it."""

        @functools.wraps(original)
        def method(self_: Any, *args: Any, **kwargs: Any) -> Any:
            if holds_host_object((args, kwargs)):
                return self.call(module, qualname, args, kwargs)
            return original(self_, *args, **kwargs)

        return method

    def _routed_classmethod(self, original: Any, module: str, qualname: str) -> Any:
        return classmethod(self._routed_method(original, module, f"{qualname}.execute"))


def holds_host_object(value: Any) -> bool:
    """Whether a value is, or contains, an object of another process."""
    return any(is_borrowed(leaf) for leaf in _leaves(value, _DEPTH))


def is_borrowed(value: Any) -> bool:
    """Whether a value stands for an object of another process. (isinstance would answer for the object.)"""
    return issubclass(type(value), Borrowed)


def is_plain(value: Any) -> bool:
    """Whether a value is made of plain data, tensors and torch's dtypes and devices."""
    return all(_is_plain_leaf(leaf) for leaf in _leaves(value, _DEPTH))


def _is_plain_leaf(value: Any) -> bool:
    if value is None or isinstance(value, (bool, int, float, str, bytes, pathlib.PurePath)):
        return True
    torch = sys.modules.get("torch")
    return torch is not None and type(value) in (torch.Tensor, torch.dtype, torch.device)


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    """What lists, tuples, sets and dicts contain, down to `depth`."""
    if depth and issubclass(type(value), dict):
        for item in value.values():
            yield from _leaves(item, depth - 1)
    elif depth and issubclass(type(value), (list, tuple, set, frozenset)):
        for item in value:
            yield from _leaves(item, depth - 1)
    else:
        yield value


def _node_classes(module: ModuleType) -> list[type]:
    """The classes that the module itself defines and that could be nodes."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and (isinstance(vars(value).get("FUNCTION"), str) or "define_schema" in vars(value))
    ]
