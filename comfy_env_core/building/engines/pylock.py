"""`pylock.toml` (PEP 751) as uv writes and reads it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from comfy_env_core.building.locks.model import IndexedFile, PypiPackage
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.toml_text import toml_string, toml_value

_SOURCES = ("vcs", "directory", "archive")


def read_pylock(path: Path) -> tuple[PypiPackage, ...]:
    """The packages of the lock at `path`, sorted by name. Raises OSError or ValueError for a file uv did not write."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(sorted(map(_package, table.get("packages", ())), key=lambda package: package.name))


def pylock_text(packages: Iterable[PypiPackage]) -> str:
    """The file that `uv pip install -r` takes.

    The `index` of a package only chooses the place in uv's cache; what is installed is fixed by the checksums. Without
    it uv 0.13 looks for the wheel neither in its cache by index nor, on servers that send no cache headers, anywhere
    else: measured 17 MB of numpy downloaded again for every environment, 2 s instead of 0.06 s.
    """
    blocks = ['lock-version = "1.0"\ncreated-by = "comfy-env manager"\n']
    blocks += ["\n[[packages]]\n" + "".join(f"{line}\n" for line in _lines(package)) for package in packages]
    return "".join(blocks)


def _lines(package: PypiPackage) -> Iterator[str]:
    yield f"name = {toml_string(package.name)}"
    if package.version:
        yield f"version = {toml_string(package.version)}"
    if package.index:
        yield f"index = {toml_string(package.index)}"
    for kind, table in package.source.items():
        yield f"{kind} = {toml_value(table)}"
    wheels = [toml_value(_file(file)) for file in package.files if file.filename.endswith(".whl")]
    if wheels:
        yield "wheels = [\n" + "".join(f"    {wheel},\n" for wheel in wheels) + "]"
    for sdist in (file for file in package.files if not file.filename.endswith(".whl")):
        yield f"sdist = {toml_value(_file(sdist))}"


def _file(file: IndexedFile) -> Mapping[str, Any]:
    hashes = {"hashes": {"sha256": file.sha256}} if file.sha256 else {}
    return {"name": file.filename, "url": file.url, **hashes}


def _package(entry: Mapping[str, Any]) -> PypiPackage:  # Any: values of PEP 751
    listed = [*entry.get("wheels", ()), *([entry["sdist"]] if "sdist" in entry else ())]
    source = {kind: entry[kind] for kind in _SOURCES if kind in entry}
    return PypiPackage(
        name=normalised_name(entry["name"]),
        version=str(entry.get("version", "")),
        files=() if source else tuple(map(_indexed, listed)),
        index=entry.get("index"),
        source=source,
    )


def _indexed(file: Mapping[str, Any]) -> IndexedFile:
    url = str(file.get("url") or Path(file.get("path", "")).absolute().as_uri())
    name = str(file.get("name") or unquote(urlsplit(url).path.rpartition("/")[2]))
    return IndexedFile(name, url, str(file.get("hashes", {}).get("sha256", "")))
