"""What a lock file (PEP 751 `pylock.toml`) names."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.toml_text import toml_string


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


def drop_packages(path: Path, names: Collection[str]) -> None:
    """Takes the packages with these (normalised) names out of the lock: they are in the prefix already."""
    head, *blocks = path.read_text(encoding="utf-8").split("[[packages]]\n")
    packages = locked_packages(path)
    kept = [block for block, package in zip(blocks, packages, strict=True) if package.name not in names]
    path.write_text("[[packages]]\n".join([head, *kept]), encoding="utf-8")


def name_indexes(path: Path, index_of: Callable[[str, str], str | None]) -> None:
    """Adds the `index` key (PEP 751) to every package of the lock that came from an index and does not say so.

    `index_of` answers for (package name, URL of one of its files). uv 0.13 leaves the key out, and without it looks for
    the wheel neither in its cache by index nor, on servers that send no cache headers, anywhere else: measured 17 MB of
    numpy downloaded again for every environment, 2 s instead of 0.06 s. The key only chooses the place in the cache;
    what is installed is fixed by the checksums.
    """
    text = path.read_text(encoding="utf-8")
    head, *blocks = text.split("[[packages]]\n")
    packages = locked_packages(path)
    for number, package in enumerate(packages):
        lines = blocks[number].splitlines(keepends=True)
        place = next((i for i, line in enumerate(lines) if line.startswith("version = ")), None)
        index = index_of(package.name, package.urls[0]) if package.urls else None
        if (
            place is None
            or index is None
            or any(line.startswith(("index = ", "archive = ")) for line in lines)
        ):
            continue
        lines.insert(place + 1, f"index = {toml_string(index)}\n")
        blocks[number] = "".join(lines)
    path.write_text("[[packages]]\n".join([head, *blocks]), encoding="utf-8")


def _package(entry: dict) -> LockedPackage:  # type: ignore[type-arg]
    wheels = entry.get("wheels", [])
    archive = entry.get("archive", {})
    files = [
        *wheels,
        *([archive] if archive else []),
        *([entry["sdist"]] if not wheels and "sdist" in entry else []),
    ]
    urls = tuple(str(file["url"]) for file in files if "url" in file)
    is_wheel = bool(wheels) or str(archive.get("url", archive.get("path", ""))).split("#")[0].endswith(".whl")
    return LockedPackage(normalised_name(entry["name"]), str(entry.get("version", "")), urls, not is_wheel)
