"""Moving the store to another disk: copied while everything is at rest, tried there, and then one link switches.

What is built works only at the path that it was built for, and keeps it: the place of the store becomes a link to the
new one. Nothing is built anew, no setting changes, and every ComfyUI of the machine goes on. A move that is interrupted
leaves the old store serving, and the next call goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from comfy_env_core.environments.atomic import delete_tree, remove_tree, sync_directory, write_atomically
from comfy_env_core.environments.links import is_link, make_link
from comfy_env_core.environments.locks import build_lock
from comfy_env_core.environments.mirroring import Mirror
from comfy_env_core.environments.place import former_of, successor_of
from comfy_env_core.environments.size_text import megabytes
from comfy_env_core.environments.sizes import size_of
from comfy_env_core.environments.store import Environment, Store
from comfy_env_core.environments.usage import processes_in
from comfy_env_core.environments.workspace import Workspace

log = logging.getLogger("comfy-env")

#: Stands in the new place until the old files are gone, and names the old one.
_MARK = ".moving-from"
_SPARE_BYTES = 200 * 2**20
_START_TIMEOUT_S = 60.0


class MoveRefused(Exception):
    """The store cannot be moved there, or not now. The text says what to do; nothing has changed."""


@dataclasses.dataclass(frozen=True)
class Move:
    """- `place`: where the store is asked for. `source`: where it lies: elsewhere if it `was_moved` before.
    - `target`: where its files go: the destination, or beside `place` on the way back there.
    """

    place: Path
    source: Path
    was_moved: bool
    target: Path
    goes_home: bool


def prepare_move(store: Store, destination: Path) -> Move | None:
    """Checks everything that can be checked beforehand, and makes the new directory. None when it lies there already.

    Raises `MoveRefused`, OSError.
    """
    place, source = store.root, Path(os.path.realpath(store.root))
    if not source.is_dir():
        raise MoveRefused(
            f"There is no store at {str(place)!r}: set COMFY_ENV_ROOT to use another directory."
        )
    was_moved = is_link(place)
    goes_home = destination == place and was_moved
    if Path(os.path.realpath(destination)) == source and not goes_home:
        remove_source(store)
        return None
    target = place.with_name(f"{place.name}.incoming") if goes_home else destination
    move = Move(place, source, was_moved, target, goes_home)
    _check_target(move)
    ensure_at_rest(store)
    target.mkdir(parents=True, exist_ok=True)
    write_atomically(target / _MARK, os.fsencode(source))
    _check_room(move)
    return move


def ensure_at_rest(store: Store) -> None:
    """Raises `MoveRefused` while anything is built or runs in the store."""
    for environment in store.environments():
        lock = build_lock(store, environment.id)
        if not lock.try_acquire():
            raise MoveRefused(
                f"Environment {environment.id!r} is being built (process {lock.holder()}): wait for it, or cancel it."
            )
        lock.release()
    processes = processes_in(store.root)
    if processes:
        raise MoveRefused(
            f"These processes run in the store: {', '.join(map(str, processes))}. End ComfyUI, or whatever started "
            "them, then move again; what was copied so far is kept."
        )


def copy(move: Move, tell: Callable[[int], None]) -> None:
    """Copies everything to `target`; `tell` hears how many bytes so far. Raises OSError; call it again then."""
    Mirror(move.source, move.target, move.place, tell, without=frozenset({_MARK})).run()


def try_out(move: Move) -> tuple[Environment, ...]:
    """Starts every interpreter at the new place. Those that start only at the old one are built anew later.

    Returns their environments. That happens to what was built while the store lay at a third place.
    """
    failed = []
    for workspace in _generations(Store(move.target)):
        old = move.source / workspace.directory.relative_to(move.target)
        if not _starts(workspace) and _starts(Workspace(old)):
            workspace.discard_done()
            failed.append(Environment.of(workspace))
    return tuple(failed)


def switch(store: Store, move: Move) -> None:
    """From here on the store lies at the new place. Raises `MoveRefused` if something has begun meanwhile, OSError."""
    ensure_at_rest(store)
    if hasattr(os, "sync"):
        os.sync()  # before the old files go
    successor = successor_of(move.place)
    _clear(successor)
    if move.goes_home:
        os.rename(move.target, successor)
    else:
        make_link(successor, move.target)
    if move.was_moved:
        os.unlink(move.place)
    else:
        os.rename(move.place, former_of(move.place))
    os.rename(successor, move.place)
    sync_directory(move.place.parent)


def remove_source(store: Store) -> None:
    """Deletes the old files, as the last step; goes on where an earlier call was interrupted.

    What the system will not give up is left, and logged.
    """
    lies_at = Path(os.path.realpath(store.root))
    leftovers = [former_of(store.root)]
    mark = _mark(lies_at)
    if mark is not None:
        moved_from = Path(os.fsdecode(mark))
        if not is_link(moved_from) and Path(os.path.realpath(moved_from)) != lies_at:
            leftovers.append(moved_from)
    for leftover in leftovers:
        # Not renamed first: it is no store any more, and only under its own name is the rest found by the next call.
        if leftover.exists():
            delete_tree(leftover)
        if leftover.exists():
            log.warning("Some of %s could not be deleted; it is not needed any more.", leftover)
            return
    (lies_at / _MARK).unlink(missing_ok=True)


def _check_target(move: Move) -> None:
    target, real = move.target, Path(os.path.realpath(move.target))
    if move.source in (real, *real.parents) or real in move.source.parents:
        raise MoveRefused(
            f"{str(target)!r} and the store {str(move.source)!r} lie in each other: name another directory."
        )
    if os.path.ismount(real):
        raise MoveRefused(
            f"{str(target)!r} is the top of a disk. Name a directory on it, such as {str(target / 'ce')!r}: when the "
            "disk is not connected, an empty one in its place must not be taken for the store."
        )
    if former_of(move.place).exists():
        delete_tree(former_of(move.place))  # an earlier move was interrupted in its last step
    if target.exists() and not target.is_dir():
        raise MoveRefused(f"{str(target)!r} is no directory.")
    entries = os.listdir(target) if target.exists() else []
    if entries and _mark(target) != os.fsencode(move.source):
        raise MoveRefused(
            f"{str(target)!r} is not empty: name a directory that is, or that does not exist yet."
        )


def _mark(target: Path) -> bytes | None:
    try:
        return (target / _MARK).read_bytes()
    except OSError:
        return None


def _check_room(move: Move) -> None:
    needed = size_of(move.source).total_bytes - size_of(move.target).total_bytes + _SPARE_BYTES
    free = shutil.disk_usage(move.target).free
    if free < needed:
        raise MoveRefused(
            f"The disk of {str(move.target)!r} has {megabytes(free)} left, and {megabytes(needed)} are needed. "
            "Collect garbage first (`gc --caches`), or choose a larger disk."
        )


def _clear(place: Path) -> None:
    """What an earlier move left there."""
    if is_link(place):
        os.unlink(place)
    else:
        remove_tree(place)


def _generations(store: Store) -> Iterator[Workspace]:
    for environment in store.environments():
        for workspace in (environment.current(), environment.previous()):
            if workspace is not None:
                yield workspace


def _starts(workspace: Workspace) -> bool:
    try:
        command = [str(workspace.python), "-I", "-S", "-c", "import encodings"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_START_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.debug("%s does not start: %s", workspace.python, error)
        return False
    return done.returncode == 0
