"""`nodes.NODE_CLASS_MAPPINGS` as a pack's process sees it: its own ComfyUI's nodes, and every other one of the host.

A class that only the host has is a live handle: made, asked and called from here, it runs there.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

from comfy_env_core.worker.home import Home

log = logging.getLogger("comfy-env.worker")

#: The tables of ComfyUI's `nodes` that are seen through.
TABLES = ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS")


class HostTable(MutableMapping[str, Any]):
    """One of TABLES. `own` is what this process has itself, which goes first: packs subclass those classes.

    What is written stays in this process, and the log says so once.
    """

    def __init__(self, home: Home, table: str, own: MutableMapping[str, Any], pack_root: str) -> None:
        self._home = home
        self._table = table
        self._own = own
        self._pack_root = pack_root
        self._deleted: set[str] = set()
        self._is_told = False

    def __getitem__(self, name: str) -> Any:
        if name in self._own:
            return self._own[name]
        if name in self._deleted:
            raise KeyError(name)
        found = self._home.ask("host_table_entry", self._table, name)
        if not found:
            raise KeyError(name)
        value, module, qualname = found
        own = self._own_class(module, qualname)
        return value if own is None else own

    def __contains__(self, name: object) -> bool:
        return name in self._own or (name not in self._deleted and name in self._host_names())

    def __iter__(self) -> Iterator[str]:
        names = [name for name in self._host_names() if name not in self._deleted]
        yield from names
        yield from [name for name in list(self._own) if name not in set(names)]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __setitem__(self, name: str, value: Any) -> None:
        self._tell(name)
        self._own[name] = value
        self._deleted.discard(name)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._tell(name)
        self._own.pop(name, None)
        self._deleted.add(name)

    def copy(self) -> dict[str, Any]:
        """As a dict's."""
        return dict(self)

    def __repr__(self) -> str:
        return f"<nodes.{self._table} of ComfyUI, {len(self)} entries>"

    def _host_names(self) -> dict[str, None]:
        return dict.fromkeys(self._home.ask("host_table_names", self._table))

    def _own_class(self, module: str, qualname: str) -> type | None:
        """The class itself where the host's is but the stand-in for one of this very pack."""
        if module != self._pack_root and not module.startswith(self._pack_root + "."):
            return None
        found: Any = sys.modules.get(module)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        return found if isinstance(found, type) else None

    def _tell(self, name: str) -> None:
        if not self._is_told:
            self._is_told = True
            log.warning(
                "nodes.%s[%r] was changed at run time: that holds in this pack's own process, ComfyUI does not see it",
                self._table,
                name,
            )
