"""pixi.lock, format 6: written for `pixi install --frozen` and for rattler, and read for what pixi took from PyPI.

Its YAML is written with JSON's values, which every YAML reader takes. Format 6 is what pixi has read since 0.41;
later ones rewrite it on their own terms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from comfy_env_core.building.locks.model import IndexedFile, LockedEnvironment, PypiPackage
from comfy_env_core.building.requirements import normalised_name

_PYPI_ITEM = re.compile(r"- pypi: (\S+)\s*$")
_FIELD = re.compile(r"  (name|version|sha256|index|index_url): (\S+)\s*$")
#: Keys of a record that format 6 does not have, or that stand elsewhere in it.
_NOT_IN_RECORDS = ("url",)


def pixi_lock_text(environment: LockedEnvironment, index_url: str) -> str:
    """The file for one environment named "default". Every package must have a place of its own by now."""
    places = [("conda", str(package.record["url"])) for package in environment.conda]
    places += [("pypi", _location(package)) for package in environment.pypi]
    lines = ["version: 6", "environments:", "  default:", "    channels:"]
    lines += [f"    - url: {_text(channel)}" for channel in environment.channels]
    lines += ["    indexes:", f"    - {_text(index_url)}", "    packages:", f"      {environment.platform}:"]
    lines += [f"      - {kind}: {_text(place)}" for kind, place in places]
    lines.append("packages:")
    for package in environment.conda:
        lines.append(f"- conda: {_text(package.record['url'])}")
        rest = {key: value for key, value in package.record.items() if key not in _NOT_IN_RECORDS}
        lines += [f"  {key}: {_text(value)}" for key, value in rest.items()]
    for pypi in environment.pypi:
        lines += _pypi_lines(pypi)
    return "".join(f"{line}\n" for line in lines)


def pypi_of_pixi_lock(text: str) -> tuple[PypiPackage, ...]:
    """The PyPI packages of a lock with one environment for one platform, sorted by name."""
    _, _, listed = text.partition("\npackages:")
    found = [_package(location, fields) for location, fields in _pypi_items(listed)]
    return tuple(sorted(found, key=lambda package: package.name))


def _pypi_items(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(location, its fields) of each item; deeper levels and lists are passed over."""
    item: tuple[str, dict[str, str]] | None = None
    for line in text.splitlines():
        if line.startswith("- "):
            if item is not None:
                yield item
            match = _PYPI_ITEM.match(line)
            item = (_scalar(match[1]), {}) if match else None
        elif item is not None and (field := _FIELD.match(line)):
            item[1][field[1]] = _scalar(field[2])
    if item is not None:
        yield item


def _package(location: str, fields: dict[str, str]) -> PypiPackage:
    name, version = normalised_name(fields.get("name", "")), fields.get("version", "")
    if location.startswith("git+"):
        place, _, commit = location.removeprefix("git+").partition("#")
        base, _, query = place.partition("?")
        folder = re.search(r"(?:^|&)subdirectory=([^&]+)", query)
        table = {"type": "git", "url": base, "commit-id": commit}
        return PypiPackage(
            name, version, source={"vcs": {**table, **({"subdirectory": folder[1]} if folder else {})}}
        )
    if "sha256" not in fields and urlsplit(location).scheme not in ("http", "https"):
        return PypiPackage(name, version, source={"directory": {"path": location}})
    filename = unquote(urlsplit(location).path.rpartition("/")[2])
    index = fields.get("index") or fields.get("index_url")
    url = location.partition("#")[0]
    return PypiPackage(name, version, (IndexedFile(filename, url, fields.get("sha256", "")),), index)


def _location(package: PypiPackage) -> str:
    if package.files:
        return min(package.files, key=_generality).url
    if "vcs" in package.source:
        vcs = package.source["vcs"]
        folder = f"?subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        return f"git+{vcs['url']}{folder}#{vcs['commit-id']}"
    archive = package.source.get("archive", {})
    return str(archive.get("url") or package.source["directory"]["path"])


def _generality(file: IndexedFile) -> tuple[bool, bool, bool]:
    """An item names one file: a wheel rather than a source archive, one made for this platform and Python first."""
    tags = file.filename.removesuffix(".whl").split("-")[-3:]
    return not file.filename.endswith(".whl"), tags[-1] == "any", tags[1:2] in (["abi3"], ["none"])


def _pypi_lines(package: PypiPackage) -> list[str]:
    location = _location(package)
    # The format demands a version also of a directory, which has none before it is built.
    version = _text(package.version or "0")
    lines = [f"- pypi: {_text(location)}", f"  name: {_text(package.name)}", f"  version: {version}"]
    archive = package.source.get("archive", {})
    sha256 = next(
        (f.sha256 for f in package.files if f.url == location), archive.get("hashes", {}).get("sha256")
    )
    if sha256:
        lines.append(f"  sha256: {_text(sha256)}")
    if package.source.get("directory", {}).get("editable"):
        lines.append("  editable: true")
    return lines


def _text(value: Any) -> str:  # Any: a value of a repodata record
    return json.dumps(value, ensure_ascii=False)


def _scalar(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
