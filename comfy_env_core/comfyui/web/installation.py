"""Puts the gateway into ComfyUI's server, and keeps its table up to date with the sites."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from comfy_env_core.comfyui.web.gateway import Gateway
from comfy_env_core.comfyui.web.table import WebSite, WebTable
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import Manager
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.sites.status import SiteStatus

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import JobSnapshot


def install(server: Any, extension_dirs: Mapping[str, str], manager: Manager) -> None:
    """To be called before ComfyUI's server starts. `server`: Any, PromptServer.instance of ComfyUI's untyped module."""
    gateway = Gateway(extension_dirs)
    server.app.middlewares.append(gateway.middleware())
    server.add_on_prompt_handler(gateway.prompts.rewrite)
    keeper = _TableKeeper(gateway, manager, server.loop)
    keeper.renew()
    manager.add_listener(keeper)


class _TableKeeper:
    """A `ManagerListener`: a site that was described anew may have other routes."""

    def __init__(self, gateway: Gateway, manager: Manager, loop: asyncio.AbstractEventLoop) -> None:
        self._gateway = gateway
        self._manager = manager
        self._loop = loop

    def renew(self) -> None:
        sites = (web_site(self._manager, runtime) for runtime in self._manager.sites.values())
        self._gateway.table = WebTable(site for site in sites if site is not None)

    def on_site(self, site: SiteStatus) -> None:
        if site.state is SiteState.READY:
            self._loop.call_soon_threadsafe(self.renew)

    def on_job(self, job: JobSnapshot) -> None:
        pass

    def on_worker(self, site_id: str) -> None:
        pass


def web_site(manager: Manager, runtime: SiteRuntime) -> WebSite | None:
    """The web side of a site; None for one that is not described or has none."""
    record = runtime.record
    if record is None:
        return None
    web = merge(description.get("web", {}) for description in record.descriptions.values())
    if not any(web.values()):
        return None
    return WebSite(
        id=runtime.id,
        pack=runtime.site.pack.name,
        modules=tuple(record.descriptions),
        web=web,
        call=functools.partial(manager.call, runtime),
    )


def merge(descriptions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One web side of those of a site's modules. Each has all that the worker knew by then: they repeat each other."""
    routes: dict[tuple[Any, ...], None] = {}
    statics: dict[tuple[Any, ...], None] = {}
    handlers = 0
    for web in descriptions:
        routes.update(_keys(web.get("routes", ())))
        statics.update(_keys(web.get("statics", ())))
        handlers = max(handlers, web.get("prompt_handlers", 0))
    return {"routes": list(routes), "statics": list(statics), "prompt_handlers": handlers}


def _keys(entries: Iterable[Sequence[Any]]) -> dict[tuple[Any, ...], None]:
    return dict.fromkeys(tuple(entry) for entry in entries)
