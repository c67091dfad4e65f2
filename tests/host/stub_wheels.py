"""The import stand-ins of ``stubs/`` as wheels, for environments that bring ComfyUI's own packages.

Spandrel, which ComfyUI requires, requires torchvision; the one on the package index is built for CUDA and does not
import beside the CPU's torch. These wheels have a local version, which is higher, so a resolver that sees both takes
them. What is in them computes nothing, as in ComfyUI's own process in these tests.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from host.installation import STUBS

VERSIONS = {"torchvision": "0.28.0+stub", "torchaudio": "2.13.0+stub"}
"""The releases that belong to the torch of ``requirements.txt``."""


def write_stub_wheels(directory: Path) -> Path:
    """Make sure that ``directory`` holds the wheels; return it, for ``PIP_FIND_LINKS``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, version in VERSIONS.items():
        target = directory / f"{name}-{version}-py3-none-any.whl"
        if not target.is_file():
            _write_wheel(target, name, version)
    return directory


def _write_wheel(target: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    files = {
        path.relative_to(STUBS).as_posix(): path.read_bytes() for path in sorted((STUBS / name).rglob("*.py"))
    }
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    unfinished = target.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w") as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
    unfinished.replace(target)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
