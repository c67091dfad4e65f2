"""The keys of a TOML file: paths of names, as a parser takes them apart and as one writes them."""

from __future__ import annotations

import re

KeyPath = tuple[str, ...]


def dotted(key: KeyPath) -> str:
    """The key as one writes it in TOML."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in key)
