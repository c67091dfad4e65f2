"""Whether the files of installed packages are as long as their packages say: neither rattler nor uv looks.

A cache that a power cut or a full disk has damaged fills every new environment with the same damage, and each new
attempt again. Sizes tell nearly all of that and cost a `stat` a file, 0.1 s for an environment with torch. Looked at is
what is imported, loaded or read to know the package; contents are left to the import test.
Source of the lists: PEP 376 (`RECORD`), conda's `conda-meta` and `info/paths.json`.
"""

from __future__ import annotations

import base64
import collections
import csv
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfy_env_core.building.site_packages import site_packages

#: (file as its package lists it, its size in bytes)
_Listed = tuple[str, int]

#: The rest are headers, images, translations: half of the 17,500 files of an environment with torch.
_CODE = (".py", ".pyd", ".so", ".dll", ".dylib", ".exe", "/METADATA", "/WHEEL", "/entry_points.txt")


def damaged_distributions(prefix: Path) -> tuple[str, ...]:
    """The names of Python distributions below `prefix` with a file that is missing or of another size, sorted."""
    return tuple(sorted({name for place in site_packages(prefix) for name in _damaged_in(place)}))


def changed_distributions(prefix: Path) -> tuple[str, ...]:
    """The names of Python distributions with code of another content than listed, sorted. Reads all of it: seconds."""
    changed = set()
    for path in (path for place in site_packages(prefix) for path in place.glob("*/RECORD")):
        for name, digest in _digests_of(path):
            try:
                content = (path.parents[1] / name).read_bytes()
            except OSError:
                continue
            if base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode() != digest:
                changed.add(path.parent.name.partition("-")[0].replace("_", "-").lower())
    return tuple(sorted(changed))


def damaged_conda_packages(prefix: Path) -> tuple[str, ...]:
    """The same for the conda packages of `prefix`."""
    damaged = set()
    for path in (prefix / "conda-meta").glob("*.json"):
        record = _json(path)
        listed = _of_paths(record.get("paths_data", {}).get("paths", ()), is_installed=True)
        if any(_is_damaged(str(prefix), name, size) for name, size in listed):
            damaged.add(str(record.get("name", path.stem)))
    return tuple(sorted(damaged))


def damaged_in_cache(packages_dir: Path) -> tuple[Path, ...]:
    """The unpacked conda packages in rattler's cache with a file that is missing or of another size.

    Names that begin with a dot are half unpacked: rattler was interrupted there, and takes none of it for a package.
    """
    return tuple(
        directory
        for directory in sorted(packages_dir.glob("[!.]*-*-*"))
        if directory.is_dir() and _is_damaged_package(directory)
    )


def _is_damaged_package(directory: Path) -> bool:
    listed = _of_paths(_json(directory / "info" / "paths.json").get("paths", ()), is_installed=False)
    return any(_is_damaged(str(directory), name, size) for name, size in listed)


def _damaged_in(place: Path) -> Iterator[str]:
    records = {
        path.parent.name.partition("-")[0]: _of_record(path) for path in place.glob("*.dist-info/RECORD")
    }
    owners = collections.Counter(name for listed in records.values() for name, _ in listed)
    for distribution, listed in records.items():
        # What two packages bring (`tests/__init__.py`) is as long as one of them says.
        own = (one for one in listed if owners[one[0]] == 1)
        if any(_is_damaged(str(place), name, size) for name, size in own):
            yield distribution.replace("_", "-").lower()
    yield from _without_a_list(place)


def _without_a_list(place: Path) -> Iterator[str]:
    """What uv installed from a wheel whose own list of files was damaged: at least its METADATA is not listed then."""
    for path in place.glob("*.dist-info/INSTALLER"):
        directory = path.parent
        if path.read_bytes().strip() == b"uv" and not any(
            name == f"{directory.name}/METADATA" for name, _ in _of_record(directory / "RECORD")
        ):
            yield directory.name.partition("-")[0].replace("_", "-").lower()


def _of_record(path: Path) -> list[_Listed]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    return [
        (row[0], int(row[2]))
        for row in rows
        if len(row) == 3 and row[1] and _is_code(row[0]) and row[2].isdigit()
    ]


def _digests_of(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.reader(file))
    kind = "sha256="
    return [
        (row[0], row[1].removeprefix(kind))
        for row in rows
        if len(row) == 3 and row[1].startswith(kind) and _is_code(row[0])
    ]


def _is_code(name: str) -> bool:
    return name.endswith(_CODE) or ".so." in name


def _of_paths(paths: Any, *, is_installed: bool) -> Iterator[_Listed]:  # Any: JSON of conda's format
    """Text in which the prefix was filled in has another size once it is installed."""
    for entry in paths if isinstance(paths, (list, tuple)) else ():
        size = entry.get("size_in_bytes")
        is_rewritten = is_installed and entry.get("prefix_placeholder")
        if entry.get("path_type") == "hardlink" and isinstance(size, int) and not is_rewritten:
            yield str(entry["_path"]), size


def _is_damaged(root: str, name: str, size: int) -> bool:
    try:
        return os.stat(f"{root}/{name}").st_size != size
    except OSError:
        return True


def _json(path: Path) -> dict[str, Any]:  # Any: JSON of conda's format
    """{} for a file that cannot be read: the tools heal that by themselves."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
