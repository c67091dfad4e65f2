"""`comfy.model_management` in a worker: its own models here, the host's there."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from comfy_env_core.worker.comfyui.hosted import is_borrowed
from comfy_env_core.worker.home import Home

MODULE = "comfy.model_management"


def adjust_memory(module: ModuleType, home: Home) -> None:
    """Right after its import. Loading asks each process for the models that live in it; emptying empties both."""
    members = vars(module)
    if "load_models_gpu" in members:
        members["load_models_gpu"] = _loading(members["load_models_gpu"], home)
    for name in ("soft_empty_cache", "unload_all_models"):
        if name in members:
            members[name] = _here_and_there(members[name], home)


def _loading(load: Any, home: Home) -> Any:
    @functools.wraps(load)
    def load_models_gpu(models: Any, *args: Any, **kwargs: Any) -> None:
        theirs = [model for model in models if is_borrowed(model)]
        ours = [model for model in models if not is_borrowed(model)]
        if theirs:
            home.ask("host_call", MODULE, "load_models_gpu", [theirs, *args], kwargs)
        if ours or not theirs:
            load(ours, *args, **kwargs)

    return load_models_gpu


def _here_and_there(function: Any, home: Home) -> Any:
    @functools.wraps(function)
    def both(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        home.ask("host_call", MODULE, function.__name__, list(args), kwargs)
        return result

    return both
