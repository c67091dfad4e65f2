"""What we need to know of the ComfyUI that we run in, read once at prestartup, when torch is not imported yet."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args

from comfy_env_core.comfyui import command_line
from comfy_env_core.discovery import host_skips

log = logging.getLogger("comfy-env")


@dataclasses.dataclass(frozen=True)
class Host:
    """`custom_nodes`: the directories that ComfyUI will visit, in its order. `source`: its own code.

    `facts`: what workers are told of this ComfyUI, see `comfy_env_core.worker.configuration`.
    """

    source: Path
    custom_nodes: tuple[Path, ...]
    user_directory: Path
    skip: Callable[[Path], str | None]
    facts: Mapping[str, Any]

    @classmethod
    def current(cls) -> Host:
        return cls(
            source=Path(folder_paths.__file__).resolve().parent,
            custom_nodes=tuple(Path(path) for path in folder_paths.get_folder_paths("custom_nodes")),
            user_directory=Path(folder_paths.get_user_directory()),
            skip=_what_this_host_skips(),
            facts={
                **command_line.as_facts(args),
                "log_level": logging.getLogger().level,
                "folder_paths": {"base_path": folder_paths.base_path, "models_dir": folder_paths.models_dir},
            },
        )


def _what_this_host_skips() -> Callable[[Path], str | None]:
    """The filters that ComfyUI applies before it loads a pack: we never scan, build or spawn for one that it skips."""
    by_arguments = host_skips(
        args.disable_all_custom_nodes, frozenset(getattr(args, "whitelist_custom_nodes", ()))
    )
    manager = sys.modules.get("comfyui_manager")
    disabled_by_manager = getattr(manager, "should_be_disabled", None)

    def skip(path: Path) -> str | None:
        reason = by_arguments(path)
        if reason is None and disabled_by_manager is not None and disabled_by_manager(str(path)):
            reason = "disabled in ComfyUI-Manager"
        return reason

    return skip
