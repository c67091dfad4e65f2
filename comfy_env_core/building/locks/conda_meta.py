"""The conda packages of a prefix, from the records that every installer of conda packages leaves in it."""

from __future__ import annotations

import json
from pathlib import Path

from comfy_env_core.building.locks.lock_file import RECORD_KEYS
from comfy_env_core.building.locks.model import CondaPackage
from comfy_env_core.building.requirements import normalised_name


def conda_packages(prefix: Path) -> tuple[CondaPackage, ...]:
    """Sorted by name; empty where conda put nothing. Raises OSError, and ValueError for a damaged record."""
    records = (json.loads(path.read_bytes()) for path in (prefix / "conda-meta").glob("*.json"))
    return tuple(sorted(map(conda_package, records), key=lambda package: package.name))


def conda_package(record: dict[str, object]) -> CondaPackage:
    """A repodata record, or one of conda-meta, reduced to what a lock keeps of it."""
    return CondaPackage({key: record[key] for key in RECORD_KEYS if record.get(key) not in (None, [])})


def distributions_of_conda(prefix: Path) -> frozenset[str]:
    """The normalised names of the Python distributions that conda packages brought."""
    names = set()
    for path in (prefix / "conda-meta").glob("*.json"):
        for file in json.loads(path.read_bytes()).get("files") or ():
            if str(file).endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")):
                names.add(normalised_name(Path(str(file)).parent.stem.partition("-")[0]))
    return frozenset(names)
