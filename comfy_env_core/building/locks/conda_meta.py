"""The conda packages of a prefix, from the records that every installer of conda packages leaves in it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from comfy_env_core.building.locks.lock_file import RECORD_KEYS
from comfy_env_core.building.locks.model import CondaPackage
from comfy_env_core.building.requirements import normalised_name


@dataclasses.dataclass(frozen=True)
class CondaContent:
    """What conda put into a prefix. `distributions`: normalised names of the Python distributions among it."""

    packages: tuple[CondaPackage, ...]
    distributions: frozenset[str]


def conda_content(prefix: Path) -> CondaContent:
    """Sorted by name; empty where conda put nothing. Raises OSError, and ValueError for a damaged record."""
    packages, distributions = [], set()
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_bytes())
        packages.append(conda_package(record))
        for file in record.get("files") or ():
            if str(file).endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")):
                distributions.add(normalised_name(Path(str(file)).parent.stem.partition("-")[0]))
    packages.sort(key=lambda package: package.name)
    return CondaContent(tuple(packages), frozenset(distributions))


def conda_package(record: dict[str, object]) -> CondaPackage:
    """A repodata record, or one of conda-meta, reduced to what a lock keeps of it."""
    return CondaPackage({key: record[key] for key in RECORD_KEYS if record.get(key) not in (None, [])})
