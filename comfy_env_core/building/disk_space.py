"""Whether a build has room, said before gigabytes are downloaded in vain.

Nobody knows beforehand what an environment will take. What is known are lower bounds: what the generation that serves
takes for itself alone, and, once the versions are chosen, what has to be downloaded. A build that might succeed is
never refused.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.size_text import megabytes
from comfy_env_core.environments.sizes import size_of

#: Below this an engine cannot even unpack an interpreter.
MIN_FREE_BYTES = 300 * 2**20
#: With as much as this no environment is measured, which takes seconds for a large one.
_PLENTY_BYTES = 20 * 2**30


def check_before(environment: Environment) -> None:
    """Raises BuildError(DISK_FULL) where a new generation has no room, by the measure of the one that serves."""
    root = environment.directory.parent
    free_bytes = _free_bytes(root)
    current = environment.current()
    if free_bytes < MIN_FREE_BYTES:
        raise _too_small(
            root, free_bytes, MIN_FREE_BYTES, "an environment needs at least {needed}, with torch several GB"
        )
    if current is not None and free_bytes < _PLENTY_BYTES:
        own_bytes = size_of(current.directory).unique_bytes
        if free_bytes < own_bytes:
            raise _too_small(
                root, free_bytes, own_bytes, "the present build of this environment takes {needed}"
            )


def check_downloads(pylock_path: Path, cached: frozenset[str]) -> None:
    """Raises BuildError(DISK_FULL) where the wheels that a lock names do not even fit as they are downloaded.

    `cached`: names of packages that need not be. Indexes that tell no sizes count as nothing.
    """
    needed_bytes = bytes_to_download(pylock_path, cached)
    root = pylock_path.parent
    free_bytes = _free_bytes(root)
    if free_bytes < needed_bytes:
        raise _too_small(root, free_bytes, needed_bytes, "the packages to download are {needed}")


def bytes_to_download(pylock_path: Path, cached: frozenset[str]) -> int:
    """The least that has to be downloaded for a lock (PEP 751): the smallest wheel of each package not cached."""
    table = tomllib.loads(pylock_path.read_text(encoding="utf-8"))
    wheels = [
        package.get("wheels", ()) for package in table.get("packages", ()) if package["name"] not in cached
    ]
    return sum(min((int(wheel.get("size", 0)) for wheel in of_one), default=0) for of_one in wheels)


def _free_bytes(place: Path) -> int:
    try:
        return shutil.disk_usage(place).free
    except OSError as error:
        raise disk_error(error, "Measuring the free space", place) from error


def _too_small(root: Path, free_bytes: int, needed_bytes: int, why: str) -> BuildError:
    reason = why.format(needed=megabytes(needed_bytes))
    return BuildError(
        BuildCause.DISK_FULL, f"The disk of {str(root)!r} has {megabytes(free_bytes)} left; {reason}."
    )
