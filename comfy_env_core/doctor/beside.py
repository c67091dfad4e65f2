"""What packs ask for beside their environments, and memory: the things that no build looks at."""

from __future__ import annotations

from collections.abc import Iterator

from comfy_env_core.discovery import Pack, Scan
from comfy_env_core.doctor.finding import Finding, ok, warn
from comfy_env_core.doctor.surroundings import Surroundings
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.staging import leftovers
from comfy_env_core.prerequisites.survey import PackNeeds, survey
from comfy_env_core.supervision.system_memory import system_memory

_GIB = 1 << 30
#: A worker that has imported torch takes about 1 GiB, before any model.
_LITTLE_MEMORY_BYTES = 4 * _GIB


def check_prerequisites(surroundings: Surroundings) -> Iterator[Finding]:
    """System packages, other packs, and what is left of fetches. Files are read, nothing is asked of anybody."""
    if surroundings.scan is None:
        return  # told by the check of ComfyUI
    yield from missing(surroundings.scan, surroundings.scan.packs)
    for path in (left for directory in surroundings.custom_nodes for left in leftovers(directory)):
        text = f"{path} was left by a fetch that was killed"
        yield warn("leftovers", text, "The next `node-packs --install` deletes it.")


def missing(scan: Scan, packs: tuple[Pack, ...]) -> Iterator[Finding]:
    """What these packs ask for beside their environments and lack."""
    for needs in survey(scan, Addresses(), packs).packs:
        yield from _missing(needs)


def check_memory(surroundings: Surroundings) -> Iterator[Finding]:
    """Of the machine, or of the container if that has less."""
    memory = system_memory()
    text = f"{memory.total_bytes / _GIB:.1f} GiB, {memory.available_bytes / _GIB:.1f} of them free"
    if memory.total_bytes < _LITTLE_MEMORY_BYTES:
        yield warn(
            "memory",
            text,
            "Give the machine or the container more: each worker with torch takes about 1 GiB.",
        )
    else:
        yield ok("memory", text)


def _missing(needs: PackNeeds) -> Iterator[Finding]:
    name, system = needs.pack.name, needs.system
    if system is not None and system.problem:
        yield warn("system", f"{name}: {system.problem}", "Without them, some of its nodes may fail.")
    elif system is not None and system.missing:
        text = f"{name} asks for {', '.join(system.missing)}, not installed"
        yield warn("system", text, f"`apt-install {name}` shows the command and runs it.")
    missing = [need.requirement.directory for need in needs.node_packs if need.present is None]
    if missing:
        text = f"{name} asks for {', '.join(missing)}, not in custom_nodes"
        yield warn("node packs", text, f"`node-packs {name} --install` fetches them.")
