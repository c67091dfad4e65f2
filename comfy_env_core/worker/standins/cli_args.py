"""`comfy.cli_args`: what ComfyUI was started with. What a pack writes into it stays in its worker."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home


def fill(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """The stand-in for an environment without ComfyUI: `args` and the enums that its values are of."""
    import argparse  # noqa: PLC0415  # loads gettext, which a worker without this module need not
    import enum  # noqa: PLC0415  # likewise

    for name, members in (configuration.host_facts.get("cli_enums") or {}).items():
        vars(module)[name] = enum.Enum(name, members, module=module.__name__)
    vars(module)["args"] = argparse.Namespace()
    adopt(module, configuration)


def fill_options(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy.options`, as in a ComfyUI that has read its command line."""

    def enable_args_parsing(enable: bool = True) -> None:
        vars(module)["args_parsing"] = enable

    vars(module).update(args_parsing=True, enable_args_parsing=enable_args_parsing)


def adopt(module: Any, configuration: Configuration) -> None:
    """Give `module.args` the host's values. Of an enum that the module lacks, its own value stays."""
    for name, value in (configuration.host_facts.get("cli_args") or {}).items():
        try:
            setattr(module.args, name, _decode(module, value))
        except (AttributeError, ValueError):
            continue
    options: Any = sys.modules.get("comfy.options")
    if options is not None:
        options.args_parsing = True


def _decode(module: Any, value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(module, item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$set" in value:
        return {_decode(module, item) for item in value["$set"]}
    name, content = value["$enum"]
    return getattr(module, name)(content)
