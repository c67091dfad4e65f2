"""`web/extensions` in ComfyUI's own folder, into which packs once copied their page scripts when they were imported.

ComfyUI's front end is a package of its own by now, and nothing in that folder is served any more, with or without us.
Old packs still copy; the log says that it is in vain.
"""

from __future__ import annotations

import logging
import os

log = logging.getLogger("comfy-env.worker")


class OldFolder:
    """Looked at when it is made, which is before the pack is imported. `source`: ComfyUI's source folder, if known."""

    def __init__(self, source: str | None, pack_name: str) -> None:
        self._folder = None if source is None else os.path.join(source, "web", "extensions")
        self._pack_name = pack_name
        self._known = self._entries()

    def tell(self) -> None:
        """Name what came since the last look."""
        entries = self._entries()
        added, self._known = sorted(entries - self._known), entries
        if added:
            log.warning(
                "%r put %s into %s, which ComfyUI's front end does not read. What a page shall load belongs into the "
                "folder that WEB_DIRECTORY names in the pack's __init__.py.",
                self._pack_name,
                ", ".join(map(repr, added)),
                self._folder,
            )

    def _entries(self) -> set[str]:
        try:
            return set() if self._folder is None else set(os.listdir(self._folder))
        except OSError:  # the usual case: there is no such folder
            return set()
