"""The web side of a site, as the host calls it."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from comfy_env_core.worker.nodes.loading import SiteLoader
from comfy_env_core.worker.web.registrations import Registrations

if TYPE_CHECKING:
    from comfy_env_core.worker.web.serving import PackServer


class Lease:
    """Stays here and is lent: a worker whose objects are in use is kept."""


class SiteWeb:
    """`modules` are those that the host knows descriptions of: their import registers everything.

    Requests are answered while a node runs, so `open` and `rewrite_prompt` are called beside the main thread. Imports
    belong on it: they name the modules that `load` has to import first.
    """

    def __init__(self, registrations: Registrations, loader: SiteLoader) -> None:
        self._registrations = registrations
        self._loader = loader
        self._lock = threading.Lock()
        self._server: PackServer | None = None

    def load(self, modules: Iterable[str]) -> None:
        """Import them; raises what the first import raises that fails. On the main thread."""
        for module in modules:
            self._loader.load(module)

    def open(self, modules: Iterable[str], directory: str | None) -> dict[str, Any]:
        """`{"address": [path, port, token], "lease": object}` of the pack's routes, see `serving`; or `{"missing":
        modules}`. As long as the host holds the lease, this worker is not idle.
        """
        missing = self.missing(modules)
        if missing:
            return {"missing": missing}
        with self._lock:
            if self._server is None:
                from comfy_env_core.worker.web.serving import PackServer  # noqa: PLC0415  # few workers ever serve

                self._server = PackServer(self._registrations)
            return {"address": list(self._server.open(directory)), "lease": Lease()}

    def rewrite_prompt(self, modules: Iterable[str], prompt: Any) -> dict[str, Any]:
        """`{"prompt": what the pack's handlers made of it}`, or `{"missing": modules}`."""
        missing = self.missing(modules)
        if missing:
            return {"missing": missing}
        return {"prompt": self._registrations.rewrite_prompt(prompt)}

    def missing(self, modules: Iterable[str]) -> list[str]:
        """Which are not imported. Of those whose import is under way, waits for its end."""
        missing = []
        for module in modules:
            if module in sys.modules:
                importlib.import_module(module)
            else:
                missing.append(module)
        return missing
