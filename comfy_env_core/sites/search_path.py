"""What a pack's host part put into `sys.path`: its isolated part may rely on it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def entries_of_pack(pack: Path, search_path: Iterable[str]) -> list[str]:
    """The entries at or below the pack's folder, in their order, however they are written."""
    roots = {os.path.abspath(pack), os.path.realpath(pack)}
    return [
        entry
        for entry in search_path
        if os.path.isabs(entry)
        and any(os.path.abspath(entry) == root or entry.startswith(root + os.sep) for root in roots)
    ]
