"""What a lock file (PEP 751 `pylock.toml`) names."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from comfy_env_core.building.requirements import normalised_name


@dataclasses.dataclass(frozen=True)
class LockedPackage:
    """One package of a lock. `version` is "" for directories and repositories, which have none before they are built.

    `urls`: where its files come from; `must_be_built`: it has no wheel among them.
    """

    name: str
    version: str
    urls: tuple[str, ...]
    must_be_built: bool


def locked_packages(path: Path) -> tuple[LockedPackage, ...]:
    """The packages of the lock at `path`. Raises OSError or ValueError for a file that uv did not write."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(_package(entry) for entry in table.get("packages", ()))


def _package(entry: dict) -> LockedPackage:  # type: ignore[type-arg]
    wheels = entry.get("wheels", [])
    archive = entry.get("archive", {})
    files = [*wheels, *([archive] if archive else []), *([entry["sdist"]] if not wheels and "sdist" in entry else [])]
    urls = tuple(str(file["url"]) for file in files if "url" in file)
    is_wheel = bool(wheels) or str(archive.get("url", archive.get("path", ""))).split("#")[0].endswith(".whl")
    return LockedPackage(normalised_name(entry["name"]), str(entry.get("version", "")), urls, not is_wheel)
