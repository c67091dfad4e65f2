"""A place in custom_nodes where a pack is put together, unseen by ComfyUI until it is whole.

ComfyUI loads every directory there whose name does not end in ".disabled" (`nodes.init_external_custom_nodes`,
`main.execute_prestartup_script`). A rename within one file system shows the pack in a single step; whatever kills us
before leaves a directory that is never loaded and that the next fetch removes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.environments.atomic import delete_tree, sync_directory

_NAME = re.compile(r"\.comfy-env-fetch-(\d+)-[0-9a-f]{8}\.disabled")
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


@contextlib.contextmanager
def staging_directory(custom_nodes: Path) -> Iterator[Path]:
    """A directory that is gone afterwards, except for what was published out of it. Raises BuildError."""
    directory = custom_nodes / f".comfy-env-fetch-{os.getpid()}-{uuid.uuid4().hex[:8]}.disabled"
    try:
        directory.mkdir()
    except OSError as error:
        raise disk_error(error, "Fetching a pack", custom_nodes) from error
    try:
        yield directory
    finally:
        delete_tree(directory)


def publish(directory: Path, target: Path) -> None:
    """Gives a finished directory its name in custom_nodes. Raises BuildError (CONFLICT) where the name is taken."""
    try:
        os.rename(directory, target)
    except OSError as error:
        if error.errno in _TAKEN or (os.name == "nt" and target.exists()):
            raise BuildError(
                BuildCause.CONFLICT,
                f"{target.name!r} appeared in {str(target.parent)!r} while it was being fetched.",
                "What lies there was left alone. Look again what is missing.",
            ) from error
        raise disk_error(error, f"Putting {target.name!r}", target.parent) from error
    sync_directory(target.parent)


def remove_leftovers(custom_nodes: Path) -> None:
    """Deletes what fetches of processes that are gone have left."""
    for path in leftovers(custom_nodes):
        delete_tree(path)


def leftovers(custom_nodes: Path) -> tuple[Path, ...]:
    """Staging directories of processes that are gone."""
    found = ((path, _NAME.fullmatch(path.name)) for path in custom_nodes.glob(".comfy-env-fetch-*.disabled"))
    return tuple(path for path, match in found if match is not None and not psutil.pid_exists(int(match[1])))
