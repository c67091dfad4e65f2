"""How much room environments take, and how to get it back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection
from pathlib import Path

from comfy_env_core.environments.atomic import remove_trash, remove_tree
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.store import Store, Workspace


class EnvironmentBusy(Exception):
    """The environment is being built right now, here or in another process, and cannot be removed."""


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


def remove_environment(store: Store, environment_id: str) -> None:
    """Removes one environment. Raises `EnvironmentBusy` while it is built, OSError when the disk refuses.

    Stop its workers first: on Windows a file in use cannot be removed, elsewhere they would fail at their next import.
    """
    workspace = store.workspace(environment_id)
    lock = build_lock(store, environment_id)
    if not lock.try_acquire():
        holder = lock.holder()
        by = f" by process {holder}" if holder else ""
        raise EnvironmentBusy(
            f"Environment {environment_id!r} is being built{by} and was not removed: cancel the build or wait for it."
        )
    try:
        discard_done(workspace)
        remove_tree(workspace.directory)
    finally:
        lock.release()
    remove_trash(store.root)


def discard_done(workspace: Workspace) -> None:
    """From here on the prefix counts as unfinished, whatever interrupts us next."""
    workspace.done_path.unlink(missing_ok=True)
    workspace.meta_path.unlink(missing_ok=True)


def unused(store: Store, used_ids: Collection[str]) -> tuple[Workspace, ...]:
    """The environments that `used_ids` does not name. Other ComfyUIs may use them: ask before removing."""
    return tuple(workspace for workspace in store.workspaces() if workspace.id not in used_ids)
