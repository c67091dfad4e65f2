"""Who holds a lock on a file, as Linux tells everybody."""

from __future__ import annotations

import os
from pathlib import Path

_LOCKS = Path("/proc/locks")


def lock_holder(path: Path) -> int | None:
    """The process that has locked `path`, None if none has or the system does not say.

    Each line of /proc/locks: number, class, kind, access, process, major:minor:inode (hexadecimal but for the inode),
    range. Works for files that we may not open (proc(5)).
    """
    try:
        facts = path.stat()
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    identity = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) > 5 and words[5] == identity and words[4].isdigit():
            return int(words[4])
    return None
