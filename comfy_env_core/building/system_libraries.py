"""Libraries of the operating system that Python packages expect to find, and what to install for them.

Source: the package contents of Debian 12 and Ubuntu 24.04.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Shared library → Debian and Ubuntu package.
_DEBIAN_PACKAGES: Mapping[str, str] = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLU.so.1": "libglu1-mesa",
    "libOpenGL.so.0": "libopengl0",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libcairo.so.2": "libcairo2",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libopenblas.so.0": "libopenblas0",
    "libportaudio.so.2": "libportaudio2",
    "libsndfile.so.1": "libsndfile1",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}


def missing_library(text: str) -> str | None:
    """The library that the dynamic linker names in an error's text ("libGL.so.1: cannot open shared object file …")."""
    match = re.search(
        r"\b(lib[\w.+-]+\.so[\w.]*|\w[\w.+-]*\.dylib)(?=: cannot open|'? \(no such|.*image not found)", text
    )
    return match[1] if match else None


def library_remedy(library: str) -> str:
    """What to do about a library that is missing."""
    package = _DEBIAN_PACKAGES.get(library)
    if package is None:
        return f"Install the system library {library}, then build again."
    return (
        f"Install the system library {library} (Debian and Ubuntu: `sudo apt install {package}`), then build again. "
        f'The author of the pack can ask for it: packages = ["{package}"] under [apt] of comfy-env-root.toml.'
    )
