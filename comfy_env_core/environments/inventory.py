"""How much room environments take."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from pathlib import Path

from comfy_env_core.environments.store import Environment, Store


@dataclasses.dataclass(frozen=True)
class Size:
    """`total_bytes`: what the files hold. `own_bytes`: what removing gives back now.

    The rest is hard-linked to the cache or to other environments, and is given back when the last of them goes.
    """

    total_bytes: int
    own_bytes: int


def measure(directory: Path) -> Size:
    """Walks the whole tree (seconds for a big environment): not for the start of ComfyUI. Missing counts as empty."""
    total = own = 0
    seen: set[tuple[int, int]] = set()
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(folder, name))
            except OSError:
                continue  # vanished while we walked
            identity = (status.st_dev, status.st_ino)
            if status.st_nlink > 1 and identity in seen:
                continue
            seen.add(identity)
            total += status.st_size
            own += status.st_size if status.st_nlink == 1 else 0
    return Size(total, own)


def unused(store: Store, used_ids: Collection[str]) -> tuple[Environment, ...]:
    """The environments that `used_ids` does not name. Other ComfyUIs may use them: ask before removing."""
    return tuple(environment for environment in store.environments() if environment.id not in used_ids)
