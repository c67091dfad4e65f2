"""What conda brought, in a form that uv's resolver can see: empty wheels of the same name and version.

A conda distribution may exist on no index under its version (`2.5.1.post3`) or at all, and a PyPI package may need it.
Constraints alone would make that unsolvable. As in pixi, what conda brought counts as it is, without its dependencies.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

_VERSION = re.compile(r"\d[A-Za-z0-9.!+]*")


def write_stubs(directory: Path, provided: Mapping[str, str]) -> None:
    """Fills `directory` with one empty wheel for each distribution (normalised name → version); old ones are removed.

    They serve `uv pip compile` as find-links; the lock is freed of them afterwards (`PypiPhase.resolve`).
    """
    directory.mkdir(exist_ok=True)
    for old in directory.glob("*.whl"):
        old.unlink()
    for name, version in provided.items():
        if _VERSION.fullmatch(version):
            _write_wheel(directory, name.replace("-", "_"), version)


def _write_wheel(directory: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
