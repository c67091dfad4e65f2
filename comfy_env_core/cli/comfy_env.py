"""`import comfy_env` in an installer: `install()` builds the environments of the pack that calls, here and now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

#: `install(arguments)`, as `doorway.install`: builds, tells the progress, returns the exit code.
Install = Callable[[list[str]], int]


class InstallerBackend:
    """No ComfyUI runs here. Builds with the same builder as ComfyUI's process does, one of them at a time."""

    def __init__(self, install: Install, store: Path) -> None:
        self._install = install
        self.store = store

    def install(self, directory: Path, say: Any = None) -> bool:
        """Waits for it, as installers do. Raises RuntimeError if something could not be built."""
        pack = _pack_of(directory)
        if self._install([str(pack.parent), "--pack", pack.name]):
            raise RuntimeError(
                f"Not everything that {pack.name!r} needs could be built; the lines above say why."
            )
        return True

    def refuse_to_isolate(self, what: str, directory: Path) -> None:
        """Nodes do not run here."""

    def register_serializer(
        self, type_name: str, serialize: Any, deserialize: Any, tag: str, source: Path
    ) -> None:
        """Nothing travels here."""


def _pack_of(directory: Path) -> Path:
    """The folder in `custom_nodes` that `directory` is or lies in, else `directory`."""
    for folder in (directory, *directory.parents):
        if folder.parent.name == "custom_nodes":
            return folder
    return directory
