"""Who may ask, and who may change anything."""

from __future__ import annotations

from aiohttp import web


def guard(request: web.Request, changes: bool) -> None:
    """Raises Refused for a request that nobody here should answer."""
