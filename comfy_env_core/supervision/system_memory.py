"""How much memory there is for us: the machine's, or less in a container that has a limit."""

from __future__ import annotations

from pathlib import Path

import psutil

from comfy_env_core.supervision.idling import SystemMemory

#: Where a container sees its own limit (cgroup version 2; docs.kernel.org, "Memory Interface Files").
CGROUP = Path("/sys/fs/cgroup")


def system_memory(cgroup: Path = CGROUP) -> SystemMemory:
    """The tighter of the two."""
    machine = psutil.virtual_memory()
    available, total = machine.available, machine.total
    container = _container_memory(cgroup)
    if container is not None and container.total_bytes < total:
        return SystemMemory(min(available, container.available_bytes), container.total_bytes)
    return SystemMemory(available, total)


def _container_memory(cgroup: Path) -> SystemMemory | None:
    """None where there is no limit. Pages of files that nobody used lately are available: the kernel takes them."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        rows = (line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        reclaimable = next(int(value) for name, value in rows if name == "inactive_file")
    except (OSError, ValueError, StopIteration):  # "max" is no number
        return None
    return SystemMemory(max(limit - used + reclaimable, 0), limit)
