"""What is looked at, put together by whoever asks: the command line, or a running ComfyUI."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import Scan
from comfy_env_core.environments.store import Store
from comfy_env_core.environments.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """- `scan`: of `custom_nodes`; None where there is no ComfyUI, and `why_no_packs` says why there is none.
    - `comfyui_source`: ComfyUI's own code, None where it was not found.
    - `serving`: of each site, by id, the generation that its nodes run in.
    """

    store: Store
    settings: UserSettings
    scan: Scan | None = None
    custom_nodes: tuple[Path, ...] = ()
    comfyui_source: Path | None = None
    why_no_packs: str = ""
    serving: tuple[tuple[str, Workspace], ...] = ()
