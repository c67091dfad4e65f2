"""Getting disk space back from environments, never from under a process that uses them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from comfy_env_core.environments.atomic import remove_trash, remove_tree, set_aside
from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.store import Store
from comfy_env_core.environments.usage import processes_in
from comfy_env_core.environments.workspace import Workspace

log = logging.getLogger("comfy-env")


class EnvironmentBusy(Exception):
    """What is built or used right now, here or in another process, and was left as it is. `remedy`: what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


@contextlib.contextmanager
def locked(store: Store, environment_id: str, done_to_it: str) -> Iterator[None]:
    """Holds the build lock; `EnvironmentBusy` if another does, naming what was not "removed" or "rolled back"."""
    lock = build_lock(store, environment_id)
    if not lock.try_acquire():
        holder = lock.holder()
        by = f" by process {holder}" if holder else ""
        raise EnvironmentBusy(
            f"Environment {environment_id!r} is being built{by} and was not {done_to_it}.",
            "Cancel the build, or wait for it.",
        )
    try:
        yield
    finally:
        lock.release()


def remove_environment(store: Store, environment_id: str) -> None:
    """Removes one environment. Raises as `take_out`."""
    take_out(store, environment_id)
    remove_trash(store.root)


def take_out(store: Store, environment_id: str) -> None:
    """The environment is gone at once; the disk gets its room back with `remove_trash(store.root)`.

    Stop our own workers first. Raises `EnvironmentBusy` while it is built or used, OSError when the disk refuses.
    """
    environment = store.environment(environment_id)
    with locked(store, environment_id, "removed"):
        users = processes_in(environment.directory)
        if users:
            named = ", ".join(map(str, users))
            raise EnvironmentBusy(
                f"Environment {environment_id!r} is used by {named} and was not removed.",
                "End these processes first, or the ComfyUI that they belong to.",
            )
        environment.pointer_path.unlink(missing_ok=True)
        set_aside(environment.directory)


def discard(environment: Environment) -> None:
    """Removes it whatever it is. Call with the build lock held. Raises OSError."""
    environment.pointer_path.unlink(missing_ok=True)
    remove_tree(environment.directory)


def discard_generation(workspace: Workspace) -> None:
    """Removes it whatever it is. Call with the build lock held. Raises OSError."""
    workspace.discard_done()
    remove_tree(workspace.directory)


def sweep(environment: Environment) -> None:
    """Removes every generation but the current one and the one before, and what earlier removals left.

    Call with the build lock held. One that a process runs in stays, and so does what the disk will not give up, until
    the next time.
    """
    kept = (environment.current(), environment.previous())
    for workspace in environment.generations():
        if workspace not in kept:
            _remove_unless_used(workspace)
    remove_trash(environment.directory)


def _remove_unless_used(workspace: Workspace) -> None:
    users = processes_in(workspace.directory)
    if users:
        log.info("%s is kept: %s still run there.", workspace.directory, ", ".join(map(str, users)))
        return
    try:
        discard_generation(workspace)
    except OSError as error:
        log.warning("Removing %s failed, the next build tries again: %s", workspace.directory, error)
