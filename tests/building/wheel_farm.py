"""Copies of the layouts of torch's indexes and of the index of CUDA wheels, as directories that a test serves.

The wheels are real ones with the right names, and hold one empty module each.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from building.engines.samples import sha256, wheel_bytes

from comfy_env_core.building.platform import Platform

#: How wheels call the interpreter that runs the tests, and its system.
PYTHON = f"cp{sys.version_info[0]}{sys.version_info[1]}"
SYSTEM = {
    "linux-64": "linux_x86_64",
    "linux-aarch64": "linux_aarch64",
    "osx-64": "macosx_11_0_x86_64",
    "osx-arm64": "macosx_11_0_arm64",
    "win-64": "win_amd64",
}[Platform.current().name]

#: Where the files of the real index lie; a mirror has them at the same path below its own base.
RELEASES = "https://github.com/Comfy-Forge/cuda-wheels/releases/download"


def wheel_name(
    name: str, version: str, *, python: str = PYTHON, abi: str | None = None, system: str = SYSTEM
) -> str:
    return f"{name}-{version}-{python}-{abi or python}-{system}.whl"


def write_wheel(directory: Path, filename: str, requires: Sequence[str] = ()) -> str:
    """Writes the wheel, and its metadata beside it as indexes serve it; returns its sha256."""
    name, version = filename.split("-")[:2]
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    members = {f"{name}.py": b"", f"{name}-{version}.dist-info/METADATA": metadata.encode()}
    data = wheel_bytes(name, version, members)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / filename).write_bytes(data)
    (directory / f"{filename}.metadata").write_text(metadata, encoding="utf-8")
    return sha256(data)


def write_page(directory: Path, links: Sequence[tuple[str, str]]) -> None:
    """A page of a simple index with (href, text) links."""
    directory.mkdir(parents=True, exist_ok=True)
    anchors = "".join(f'<a href="{href}">{text}</a><br>\n' for href, text in links)
    (directory / "index.html").write_text(f"<!DOCTYPE html>\n<body>\n{anchors}</body>", encoding="utf-8")


def write_torch_index(root: Path, tag: str, *filenames: str, requires: Sequence[str] = ()) -> None:
    """`<root>/<tag>/<project>/` as download.pytorch.org has it, for these wheels."""
    for filename in filenames:
        project = filename.split("-")[0].replace("_", "-")
        write_wheel(root / tag, filename, requires)
        known = sorted((root / tag).glob(f"{filename.split('-')[0]}-*.whl"))
        links = [(f"../{path.name}".replace("+", "%2B"), path.name) for path in known]
        write_page(root / tag / project, links)


@dataclasses.dataclass
class WheelFarm:
    """The index of CUDA wheels below `root`. `packages` is what `packages.json` will hold."""

    root: Path
    packages: dict[str, dict[str, object]] = dataclasses.field(default_factory=dict)

    def add(
        self,
        name: str,
        version: str,
        cuda: str,
        torch: str,
        *,
        torch_free: bool = False,
        python: str = PYTHON,
        system: str = SYSTEM,
        sha: str | None = None,
    ) -> str:
        """One wheel with its file; returns its file name. `sha` instead of the right one."""
        filename = wheel_name(
            name, f"{version}+cu{cuda.replace('.', '')}torch{torch}", python=python, system=system
        )
        release = f"{name}-latest"
        right = write_wheel(self.root / "releases/download" / release, filename)
        entry = {
            "filename": filename,
            "version": version,
            "cuda": cuda,
            "torch": torch,
            "python": python.removeprefix("cp"),
            "abi": "cp",
            "platform": "linux",
            "url": f"{RELEASES}/{release}/{filename}",
            "sha256": right if sha is None else sha,
        }
        package = self.packages.setdefault(
            name.replace("_", "-"), {"torch_free": torch_free, "wheels": list[object]()}
        )
        wheels = package["wheels"]
        assert isinstance(wheels, list)
        wheels.append(entry)
        return filename

    def write_manifest(self) -> None:
        manifest = {"schema": 1, "repo": "Comfy-Forge/cuda-wheels", "packages": self.packages}
        (self.root / "packages.json").write_text(json.dumps(manifest), encoding="utf-8")

    def write_pages(self, combination: str, project: str, *filenames: str, text: str = "") -> None:
        """The page of one project in `combination` ("cu128/torch2.8"). `text` for an alias: another name is shown."""
        release = f"{project.replace('-', '_')}-latest"
        write_page(
            self.root / combination / project,
            [(f"{RELEASES}/{release}/{filename}", text or filename) for filename in filenames],
        )
