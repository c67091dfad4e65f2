"""A mark that changes when the source behind a site's nodes changes."""

from __future__ import annotations

import os
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from .site import Site
from .walking import walk

# Code, and the data that node classes are commonly made from.
_SITE_SUFFIXES = (".py", ".json", ".toml", ".yaml", ".yml")
_PACK_SUFFIXES = (".py",)


def source_fingerprint(site: Site, nested: Collection[Path]) -> str:
    """Hex over path, size and modification time (ns) of the files that matter; no file is opened.

    Those are the site's own files without the `nested` sites and, since a relative import may leave the site, the
    Python files in the rest of its pack. Something unreadable counts as such, so the mark changes when it is mended.
    """
    top, pack_top = str(site.directory), str(site.pack.path)
    rows = _rows(top, _SITE_SUFFIXES, without=[str(path) for path in nested])
    if not site.is_root:
        rows += _rows(pack_top, _PACK_SUFFIXES, without=[top])
    digest = sha256()
    for row in sorted(rows):
        digest.update(row.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _rows(top: str, suffixes: tuple[str, ...], without: Collection[str]) -> list[str]:
    rows: list[str] = []

    def note(path: str, text: object) -> None:
        rows.append(f"{os.path.relpath(path, top)}\0{text}")

    def on_unreadable(directory: str, error: OSError) -> None:
        note(directory, f"errno {error.errno}")

    for _, files in walk(top, lambda name: name.endswith(suffixes), on_unreadable, without):
        for entry in files:
            try:
                status = entry.stat()
            except OSError as error:
                note(entry.path, f"errno {error.errno}")
            else:
                note(entry.path, f"{status.st_size}\0{status.st_mtime_ns}")
    return rows
