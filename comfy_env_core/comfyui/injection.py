"""Nodes that become available while ComfyUI runs: the pack is loaded again, by ComfyUI's own loader.

ComfyUI's loader does the registering (web folder, module names, collisions with built-in nodes), so that a pack which
came late is the same as one that was there at boot.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path

import nodes
from comfy_execution import caching

from comfy_env_core.comfyui.imports.modules import NotReady
from comfy_env_core.comfyui.imports.presence import Presence
from comfy_env_core.comfyui.web.page_scripts import page_scripts

log = logging.getLogger("comfy-env")

#: What ComfyUI writes before the pack's name into `RELATIVE_PYTHON_MODULE` of every custom node.
_CUSTOM_NODES = "custom_nodes."

#: Called with a pack's name, the ids of its nodes that changed, and URL paths of its page scripts (see `Injector`).
NodesListener = Callable[[str, "tuple[str, ...]", "tuple[str, ...]"], None]


class Injector:
    """Loads packs again on ComfyUI's event loop, then calls `tidy()` and `announce`.

    A pack that was not ready at the start may have a web folder only now. A page that is open did not load the scripts
    in there: they are announced, each time that the pack's nodes are, since a page may have missed the first time.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, announce: NodesListener, tidy: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._announce = announce
        self._tidy = tidy
        self._late_folders: dict[Path, dict[str, str]] = {}

    def inject(self, pack_path: Path, presences: Iterable[Presence]) -> Future[None]:
        """Schedules the reload; safe from any thread. The future holds what went wrong, if anything did."""
        return asyncio.run_coroutine_threadsafe(self._reload(pack_path, tuple(presences)), self._loop)

    def tidy_later(self) -> None:
        """Schedules `tidy` alone; safe from any thread."""
        self._loop.call_soon_threadsafe(self._tidy)

    async def _reload(self, pack_path: Path, presences: tuple[Presence, ...]) -> None:
        before, folders = dict(nodes.NODE_CLASS_MAPPINGS), dict(nodes.EXTENSION_WEB_DIRS)
        for presence in presences:
            _forget_modules(presence.forget())
        if not await nodes.load_custom_node(str(pack_path), _not_custom(), module_parent="custom_nodes"):
            raise RuntimeError(
                f"ComfyUI could not load {str(pack_path)!r}; its message is in the lines above."
            )
        self._tidy()
        scripts = page_scripts(self._note_late_folders(pack_path, folders))
        changed = tuple(
            sorted(name for name, value in nodes.NODE_CLASS_MAPPINGS.items() if before.get(name) is not value)
        )
        for name in changed:
            # ComfyUI remembers for ever, by the node's name, whether a class wants its id.
            caching.NODE_CLASS_CONTAINS_UNIQUE_ID.pop(name, None)
        if changed or scripts:
            self._announce(pack_path.name, changed, scripts)

    def _note_late_folders(self, pack_path: Path, before: Mapping[str, str]) -> Mapping[str, str]:
        """The pack's web folders that came, or were moved, after the start: ComfyUI knows them by name."""
        late = self._late_folders.setdefault(pack_path, {})
        late.update(
            {name: path for name, path in nodes.EXTENSION_WEB_DIRS.items() if before.get(name) != path}
        )
        return late


def unregister_unready() -> None:
    """Takes out the nodes that a pack registered with stubs.

    ComfyUI would show them without inputs, and a workflow that is open in the page would lose its links to them;
    missing nodes keep theirs.
    """
    for name, node in list(nodes.NODE_CLASS_MAPPINGS.items()):
        if isinstance(node, type) and issubclass(node, NotReady):
            del nodes.NODE_CLASS_MAPPINGS[name]


def _not_custom() -> set[str]:
    """The names that no pack may take over: built-in nodes, as at boot."""
    return {
        name
        for name, node in nodes.NODE_CLASS_MAPPINGS.items()
        if not getattr(node, "RELATIVE_PYTHON_MODULE", "nodes").startswith(_CUSTOM_NODES)
    }


def _forget_modules(names: Iterable[str]) -> None:
    for name in names:
        module = sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        # `from . import child` looks at the parent's attribute before it looks at sys.modules.
        if (
            module is not None
            and parent in sys.modules
            and getattr(sys.modules[parent], child, None) is module
        ):
            delattr(sys.modules[parent], child)
