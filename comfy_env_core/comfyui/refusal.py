"""When we cannot run at all: isolated packs are refused with the reason, never imported into the host instead.

Uses nothing of ours but the hooks, since whatever is missing may be missing everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import folder_paths

from comfy_env_core.comfyui.imports import hooks
from comfy_env_core.comfyui.imports.isolated_paths import IsolatedPaths

#: Where packs keep the file in practice: at their root, in a folder of nodes, or one below.
_PLACES = ("*/comfy-env.toml", "*/*/comfy-env.toml", "*/*/*/comfy-env.toml")


class Refusal:
    """A `ModuleProvider` that provides nothing."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def provide(self, module: ModuleType, location: Path) -> None:
        raise ImportError(
            f"{str(location)!r} runs in an environment of its own, and that cannot be had now: {self._reason}"
        )


def refuse_isolated_packs(reason: str) -> None:
    """Makes ComfyUI list every pack that needs us as failed, with `reason`."""
    refusal = Refusal(reason)
    hooks.install(IsolatedPaths((directory, refusal) for directory in _isolated_directories()))


def _isolated_directories() -> Iterable[Path]:
    for custom_nodes in map(Path, folder_paths.get_folder_paths("custom_nodes")):
        for place in _PLACES:
            yield from (config.parent for config in custom_nodes.glob(place))
