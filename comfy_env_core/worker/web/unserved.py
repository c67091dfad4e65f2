"""Where an environment has no aiohttp: a pack may register routes, and the log says why nobody can reach them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("comfy-env.worker")


class Unserved:
    """Stands for a route table or an application. Every call is an error in the log that names what was registered."""

    def __init__(self, name: str, pack_name: str) -> None:
        self._name = name
        self._pack_name = pack_name

    def __getattr__(self, name: str) -> Unserved:
        if name.startswith("_"):
            raise AttributeError(name)
        return Unserved(f"{self._name}.{name}", self._pack_name)

    def __call__(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        shown = ", ".join(map(repr, args))
        log.error(
            "%s(%s) of %r is not served: its environment has no aiohttp. Add it to the comfy-env.toml: "
            'aiohttp = "*" below [pypi-dependencies].',
            self._name,
            shown,
            self._pack_name,
        )
        return _unchanged

    def __iter__(self) -> Any:
        return iter(())


def _unchanged(handler: Any) -> Any:
    """A route decorator that leaves the handler as it is."""
    return handler
