"""Rebuilding an environment without losing the one that works.

A prefix works at its own place only, so the old one is set aside while a new one is filled there, and put back if that
fails. Each step is one rename, in an order that `put_back` understands wherever a kill interrupted it: `.done` leaves
first and comes back last.
"""

from __future__ import annotations

import os
from pathlib import Path

from comfy_env_core.environments.atomic import remove_tree, sync_directory
from comfy_env_core.environments.store import Workspace

#: What makes an environment besides `.done`: the prefix and its record.
_PARTS = (".pixi", "meta.json")


def set_aside(workspace: Workspace) -> None:
    """Makes room for a new generation. Call with the build lock held, for an environment that is done. Raises OSError.

    Its workers must have ended: what they have not imported yet is gone from its place.
    """
    previous = _previous(workspace)
    remove_tree(previous)
    previous.mkdir()
    os.replace(workspace.done_path, previous / ".done")
    sync_directory(workspace.directory)
    for name in _PARTS:
        os.replace(workspace.directory / name, previous / name)


def put_back(workspace: Workspace) -> bool:
    """Restores what was set aside, replacing whatever a failed or killed build left; False when there is nothing.

    Call with the build lock held. Raises OSError; calling again then continues.
    """
    previous = _previous(workspace)
    if workspace.is_done() or not (previous / ".done").exists():
        return False
    for name in _PARTS:
        # Absent there: it was not moved yet, or is back already, and the one in place is the good one.
        if (previous / name).exists():
            _remove(workspace.directory / name)
            os.replace(previous / name, workspace.directory / name)
    sync_directory(workspace.directory)
    os.replace(previous / ".done", workspace.done_path)
    remove_tree(previous)
    return True


def drop_previous(workspace: Workspace) -> None:
    """Gives the room of the older generation back once the new one is done. Raises OSError."""
    remove_tree(_previous(workspace))


def _previous(workspace: Workspace) -> Path:
    return workspace.directory / "previous"


def _remove(path: Path) -> None:
    if path.is_dir():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
