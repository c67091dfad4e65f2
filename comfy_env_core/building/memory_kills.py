"""How often the kernel has ended a process because memory ran out: two looks tell what happened between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

#: (file, name of the counter in it): of our control group, version 2 and 1, then of the whole machine.
_SYSTEM_FILES = (
    (Path("/sys/fs/cgroup/memory.events"), "oom_kill"),
    (Path("/sys/fs/cgroup/memory/memory.oom_control"), "oom_kill"),
    (Path("/proc/vmstat"), "oom_kill"),
)
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def memory_kills() -> int | None:
    """How many processes around us the kernel has ended for want of memory so far; None where it does not tell."""
    for path, name in (*_own_group(), *_SYSTEM_FILES):
        count = read_counter(path, name)
        if count is not None:
            return count
    return None


def read_counter(path: Path, name: str) -> int | None:
    """The number behind `name` in a file of "name number" lines; None where there is no such file or line."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None


def _own_group() -> Iterator[tuple[Path, str]]:
    try:
        lines = _OWN_CGROUP.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        if line.startswith("0::/"):  # version 2; a service has a group of its own below the root
            yield _CGROUPS / line.removeprefix("0::/") / "memory.events", "oom_kill"
