"""Which engines in the store this version of us builds with: those of earlier versions can go."""

from __future__ import annotations

from comfy_env_core.building.engines.engine_packages import engine_directory
from comfy_env_core.building.engines.pixi_binary import downloaded_path
from comfy_env_core.environments.store import Store


def needed_engines(store: Store) -> frozenset[str]:
    """The names of their directories below `Store.engines_dir`, there or not."""
    return frozenset({engine_directory(store).name, downloaded_path(store).parent.name})
