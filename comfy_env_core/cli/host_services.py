"""What workers may ask of their host, where no ComfyUI runs."""

from __future__ import annotations

import functools
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core.supervision import Service

if TYPE_CHECKING:
    from comfy_env_core.comfyui.services.folders import Folders


class InstallServices:
    """`HostServices` where no ComfyUI runs: its directories are known if its code is, there is no page to tell."""

    def __init__(self, comfyui_source: Path | None) -> None:
        self._comfyui_source = comfyui_source

    def find(self, name: str) -> Service | None:
        services = {
            "progress": Service(_nobody_is_told, at_once=True),
            "send_sync": Service(_nobody_is_told, at_once=True),
            "folder_paths": Service(self._answer),
            "folder_paths_change": Service(self._change),
        }
        return services.get(name)

    def _answer(self, *args: Any) -> Any:
        return self._folders.answer(*args)

    def _change(self, *args: Any) -> Any:
        return self._folders.change(*args)

    @functools.cached_property
    def _folders(self) -> Folders:
        if self._comfyui_source is None:
            raise RuntimeError("folder_paths was asked for, and no ComfyUI was found (see COMFYUI_PATH).")
        if str(self._comfyui_source) not in sys.path:
            sys.path.append(str(self._comfyui_source))
        from comfy_env_core.comfyui.services.folders import (
            Folders,
        )  # possible from here on: it imports ComfyUI's folder_paths

        return Folders()


def host_facts() -> dict[str, Any]:
    """ComfyUI's modules refuse to be imported with a torch for the CPU unless they are told `--cpu`."""
    try:
        torch_version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return {}
    return {"cli_args": {"cpu": True}} if torch_version.endswith("+cpu") else {}


def _nobody_is_told(*args: Any) -> None:
    pass
