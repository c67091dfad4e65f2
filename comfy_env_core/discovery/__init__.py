"""Which directories of which packs are isolated, and what can be told of them from their files alone."""

from __future__ import annotations

from .fingerprint import source_fingerprint
from .host_names import LEAN_NAMES
from .host_use import HostUse, host_use
from .scanning import ENV_FILE_NAME, ROOT_FILE_NAME, host_skips, read_site, scan
from .site import Mistake, Pack, Scan, Site, Skipped

__all__ = [
    "ENV_FILE_NAME",
    "LEAN_NAMES",
    "ROOT_FILE_NAME",
    "HostUse",
    "Mistake",
    "Pack",
    "Scan",
    "Site",
    "Skipped",
    "host_skips",
    "host_use",
    "read_site",
    "scan",
    "source_fingerprint",
]
