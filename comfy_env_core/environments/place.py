"""Where the store lies: at its place, or where a link at its place leads since it was moved. Standard library only.

What is built holds its own path in many files. A store that was moved to another disk therefore keeps its path: a link
(on Windows a junction) stands where it was.
"""

from __future__ import annotations

import os
from pathlib import Path

from comfy_env_core.environments.links import is_link


class StoreUnreachable(Exception):
    """The store was moved to a disk that is not there now. A second one beside it would build everything anew."""


def ensure_reachable(place: Path) -> None:
    """Raises `StoreUnreachable`. Ends a move that was interrupted between its last two steps, see `moving`."""
    if os.path.exists(place):
        return
    if is_link(place):
        raise StoreUnreachable(
            f"The environments were moved to {os.readlink(place)!r}, which is not there now: connect that disk and "
            f"start again. If it is lost, delete the link {str(place)!r}, and everything is built anew."
        )
    successor = successor_of(place)
    if is_link(successor) or os.path.exists(successor):
        os.rename(successor, place)
        ensure_reachable(place)


def successor_of(place: Path) -> Path:
    """What takes the store's place as the last step of a move."""
    return place.with_name(f"{place.name}.next")


def former_of(place: Path) -> Path:
    """What lay at the store's place until a move, to be deleted then."""
    return place.with_name(f"{place.name}.former")
