"""`server`, as packs use it: messages to the browser, routes, prompt handlers, and what else they read of the server.

What a pack registers is collected in `Registrations`; what only ComfyUI's own server knows is asked of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import ModuleType
from typing import Any

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.web.registrations import Registrations

#: Attributes that are facts of the node call that asks.
_FACTS = {"client_id": "client_id", "last_node_id": "node_id", "last_prompt_id": "prompt_id"}
#: Attributes that this process has of its own.
_OWN = frozenset({"routes", "app", "loop"})


def fill(
    module: ModuleType, home: Home, configuration: Configuration, *, registrations: Registrations
) -> None:
    """`PromptServer` with its `instance`, `BinaryEventTypes`, and the modules that packs take from here."""
    # Any: the attribute `instance` of a class that is made here
    kind: Any = type("PromptServer", (PromptServer,), {"__module__": "server"})
    kind.instance = kind(home, registrations)
    vars(module).update(PromptServer=kind, BinaryEventTypes=BinaryEventTypes)

    def look_up(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module 'server' has no attribute {name!r}")
        if name in ("web", "aiohttp"):
            return _aiohttp(name, configuration.pack_name)
        return _ask(home, "server_module", name)

    module.__getattr__ = look_up  # type: ignore[method-assign]


class BinaryEventTypes:
    """The numbers of ComfyUI's binary messages. Source: its protocol.py."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


class PromptServer:
    """The server as the pack's process sees it. What it lacks is looked up in ComfyUI's own, at every use."""

    def __init__(self, home: Home, registrations: Registrations) -> None:
        self._home = home
        self._registrations = registrations
        self.on_prompt_handlers = registrations.prompt_handlers
        # Also where no ComfyUI runs, at installation: packs that miss it copy their files into ComfyUI's own folders.
        self.supports = ["custom_nodes_from_web"]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"'PromptServer' object has no attribute {name!r}")
        if name in _FACTS:
            return self._home.running.fact(_FACTS[name])
        if name in _OWN:
            return getattr(self._registrations, name)
        return _ask(self._home, "prompt_server", name)

    def send_sync(self, event: Any, data: Any, sid: Any = None) -> None:
        """Send a message to the browser."""
        self._home.send_sync(event, data, sid)

    async def send(self, event: Any, data: Any, sid: Any = None) -> None:
        """Send a message to the browser."""
        self._home.send_sync(event, data, sid)

    async def send_json(self, event: Any, data: Any, sid: Any = None) -> None:
        """Send a message to the browser."""
        self._home.send_sync(event, data, sid)

    async def send_bytes(self, event: Any, data: Any, sid: Any = None) -> None:
        """Send a binary message to the browser."""
        self._home.send_sync(event, bytes(data), sid)

    async def send_image(self, image_data: Any, sid: Any = None) -> None:
        """Send (format, Pillow image, longest side) to the browser."""
        self._home.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, image_data, sid)

    def send_progress_text(self, text: Any, node_id: Any, sid: Any = None) -> None:
        """Show a text under a node. The message: u32 big endian, length of the node's id; the id; the text."""
        content = text.encode() if isinstance(text, str) else bytes(text)
        node = str(node_id).encode()
        self._home.send_sync(BinaryEventTypes.TEXT, struct.pack(">I", len(node)) + node + content, sid)

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Have `handler(json)` rewrite what the browser queues, before it is validated."""
        self.on_prompt_handlers.append(handler)


def _ask(home: Home, service: str, name: str) -> Any:
    try:
        return home.ask(service, name)
    except LookupError as error:  # nodes are described without ComfyUI, at installation
        raise AttributeError(f"{name!r} of ComfyUI's server cannot be had: {error}") from error


def _aiohttp(name: str, pack_name: str) -> Any:
    """aiohttp, or its `web`, which ComfyUI's server module imports and packs take from there."""
    try:
        import aiohttp.web  # noqa: PLC0415  # see Registrations._web
    except ImportError as error:
        raise ImportError(
            f"'server' has no {name!r} in the environment of {pack_name!r}, which has no aiohttp. "
            'Add it to the comfy-env.toml: aiohttp = "*" below [pypi-dependencies].'
        ) from error
    return aiohttp if name == "aiohttp" else aiohttp.web
