"""Moving the store, step by step and told as it goes: for the command line and for the panel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from comfy_env_core.building.report import Report
from comfy_env_core.building.store_place import check_place
from comfy_env_core.environments import moving
from comfy_env_core.environments.size_text import megabytes
from comfy_env_core.environments.sizes import size_of
from comfy_env_core.environments.store import Store

log = logging.getLogger("comfy-env")

#: Hears what is done now, for people, and how many bytes of how many are copied; (0, 0) where nothing is counted.
Tell = Callable[[str, int, int], None]


def relocate(store: Store, destination: Path, tell: Tell, report: Report) -> tuple[str, ...]:
    """Returns the ids of environments that start at the old place only, and are built anew.

    `report` hears what may go wrong at the new place. Interrupted or refused, the store goes on where it lies, and the
    next call goes on where this one stopped. Raises MoveRefused, OSError, and BuildError for a place where environments
    cannot work.
    """
    move = moving.prepare_move(store, destination)
    if move is None:
        return ()
    check_place(move.target, store.root / "_env_00000000" / "1" / ".pixi" / "envs" / "default", report)
    total_bytes = size_of(move.source).total_bytes
    log.info("Copying %s from %s to %s.", megabytes(total_bytes), move.source, move.target)

    def copied(copied_bytes: int) -> None:
        tell(f"copying: {megabytes(copied_bytes)} of {megabytes(total_bytes)}", copied_bytes, total_bytes)

    moving.copy(move, copied)
    moving.copy(move, copied)  # what changed meanwhile
    tell("starting every interpreter at the new place", 0, 0)
    failed = moving.try_out(move)
    moving.switch(store, move)
    log.info("Deleting the old files.")
    tell("deleting the old files", 0, 0)
    moving.remove_source(store)
    return tuple(environment.id for environment in failed)
