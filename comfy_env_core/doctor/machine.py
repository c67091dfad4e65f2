"""What builds find on this machine: ComfyUI and its Python, the GPU, the user's settings, the packs' files."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.user_settings import redact
from comfy_env_core.doctor.finding import Finding, fail, ok, warn
from comfy_env_core.doctor.surroundings import Surroundings


def check_comfyui(surroundings: Surroundings) -> Iterator[Finding]:
    found = surroundings.scan
    if found is None:
        text = "Or start this command with ComfyUI's Python in its custom_nodes."
        yield warn("packs", surroundings.why_no_packs, text)
        return
    places = ", ".join(map(str, surroundings.custom_nodes))
    wrong = [str(site.error) for site in found.sites if site.error is not None]
    wrong += [*map(str, found.root_errors.values()), *map(str, found.mistakes)]
    yield ok("packs", f"{len(found.packs)} in {places}, {len(found.sites)} isolated")
    yield from (fail("files", problem, "See also: scan") for problem in wrong)
    source = surroundings.comfyui_source
    if source is None:
        text = "its code was not found above custom_nodes"
        yield warn(
            "ComfyUI",
            text,
            "Set COMFYUI_PATH if packs import ComfyUI's own modules; inside ComfyUI it is known.",
        )
    else:
        yield ok("ComfyUI", str(source))


def check_python(surroundings: Surroundings) -> Iterator[Finding]:
    """This is ComfyUI's Python if it was started as the help says; its version is that of most environments."""
    host = HostPython.current(surroundings.settings.environ)
    torch = f"torch {host.torch_version}" if host.torch_version else "without torch"
    yield ok("Python", f"{platform.python_version()} at {sys.executable}, {torch}")
    if host.cuda is not None:
        yield ok("GPU", f"environments are built for CUDA {host.cuda.version}; found in {host.cuda.source}")
    elif host.other_accelerator is not None:
        other = host.other_accelerator
        yield ok("GPU", f"environments are built for {other.tag}; found in {other.source}")
    else:
        yield ok("GPU", "none that torch computes with was found: environments get builds for the CPU")
    for note in host.gpu_notes:
        yield warn("GPU", note, "COMFY_ENV_CUDA_VERSION says what to build for, whatever is found.")


def check_settings(surroundings: Surroundings) -> Iterator[Finding]:
    """What the user told pip, uv and pixi, which builds follow; passwords are left out."""
    settings = surroundings.settings
    if settings.files:
        yield ok("settings", f"taken from {', '.join(map(str, settings.files))}")
    environ = settings.environ
    named = sorted(name for name in environ if name.startswith(("COMFY_ENV_", "PIP_", "UV_", "PIXI_")))
    if named:
        yield ok("variables", redact(", ".join(f"{name}={environ[name]}" for name in named)))


def check_encoding(surroundings: Surroundings) -> Iterator[Finding]:
    encoding = sys.getfilesystemencoding().lower()
    if encoding == "utf-8":
        yield ok("file names", "UTF-8")
        return
    yield warn(
        "file names",
        f"this system's encoding is {encoding}: names with other characters cannot be opened",
        "Set LANG to a UTF-8 locale (C.UTF-8), or PYTHONUTF8=1, for ComfyUI as well.",
    )
