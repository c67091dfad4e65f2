"""Bytes as people read them."""

from __future__ import annotations


def megabytes(size_bytes: int) -> str:
    """ "4.2 MB", "1.3 GB": decimal units, as disks are sold and shown."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes / 1000:.1f} kB"
