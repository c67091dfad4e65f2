"""From ComfyUI's prestartup to the first node: where all parts meet a running ComfyUI."""

from __future__ import annotations

import atexit
import logging
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from comfy_env_core import __version__, assembly
from comfy_env_core.comfyui import comfy_env, policy
from comfy_env_core.comfyui.command_line import listens_remotely
from comfy_env_core.comfyui.deferred import DeferredCaller, DeferredServices
from comfy_env_core.comfyui.host import Host
from comfy_env_core.comfyui.imports import hooks
from comfy_env_core.comfyui.imports.isolated_paths import IsolatedPaths
from comfy_env_core.comfyui.imports.presence import Presence
from comfy_env_core.comfyui.imports.strays import Strays
from comfy_env_core.comfyui.joint_memory import JointMemory
from comfy_env_core.comfyui.log_lines import name_our_lines
from comfy_env_core.comfyui.services.folders import Folders
from comfy_env_core.comfyui.session import Session, holder
from comfy_env_core.discovery import Scan, scan
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode, Manager
from comfy_env_core.narration import Narrator
from comfy_env_core.settings.effective import effective

if TYPE_CHECKING:
    from comfy_env_core.api.backend import HostFacts

log = logging.getLogger("comfy-env")

#: ComfyUI's queue of messages to its pages is empty, or nearly, unless a page takes nothing.
_MOST_WAITING_MESSAGES = 100


def prestartup() -> None:
    """Finds the packs and puts the hooks in place. Takes milliseconds.

    What is missing is built when ComfyUI has loaded its packs: builds would compete with its boot for processor and
    disk. Only when the start shall wait for them (`BuildMode.BLOCKING`) they begin here.
    """
    name_our_lines()
    if holder.session is not None:
        log.warning(
            "A second copy of comfy-env manager lies in custom_nodes; only the first one works. Remove one."
        )
        return
    reason = policy.reason_to_stand_down(policy.governance_module())
    if reason is not None:
        log.warning("comfy-env manager stands down: %s", reason)
        return
    host, store = Host.current(), Store.default()
    found = scan(host.custom_nodes, host.skip)
    variables = effective(os.environ, store)
    mode = assembly.build_mode(variables)
    services = DeferredServices()
    manager = assembly.assemble(
        store,
        found,
        comfyui_source=host.source,
        services=services,
        mode=mode,
        host_facts=host.facts,
        custom_nodes=host.custom_nodes,
        variables=variables,
    )
    memory = JointMemory(manager)
    presences = {
        site.id: Presence(site, DeferredCaller(manager, site, memory, services.inputs), mode)
        for site in manager.sites.values()
    }
    paths = IsolatedPaths(
        (presence.site.site.directory, _AllowingWorkers(presence, manager, services.folders))
        for presence in presences.values()
    )
    session = Session(manager, presences, memory, Strays(paths, tuple(manager.sites.values())))
    manager.add_listener(Narrator(log, manager.names_of))
    manager.add_listener(session)
    hooks.install(paths)
    session.strays.drop_earlier_modules()
    atexit.register(manager.shutdown)
    holder.session = session
    manager.start()
    comfy_env.serve(manager, store, host.custom_nodes)
    if mode is BuildMode.BLOCKING:
        manager.prepare()
    _tell(found, manager, store)


def connect() -> bool:
    """Called by our `__init__.py`, which ComfyUI imports as a pack: its server exists and takes routes.

    False, and nothing is done, when there is no session (we stood down), or for a second copy of us.
    """
    session = holder.session
    if session is None or session.injector is not None:
        return False
    # These import torch, which was too early at prestartup; see `deferred`.
    import nodes
    from server import PromptServer

    from comfy_env_core.api.clients import Clients
    from comfy_env_core.api.opening import open_backend
    from comfy_env_core.api.serving import add_routes
    from comfy_env_core.comfyui.injection import Injector, unregister_unready
    from comfy_env_core.comfyui.web.installation import install as install_web

    server = PromptServer.instance
    clients = Clients(
        server.send_sync,
        is_connected=lambda client_id: client_id in server.sockets,
        is_behind=lambda: server.messages.qsize() > _MOST_WAITING_MESSAGES,
    )
    backend = open_backend(session.manager, clients, facts=_host_facts())
    atexit.register(backend.feed.close)
    late_routes = add_routes(server.routes, backend)
    install_web(server, nodes.EXTENSION_WEB_DIRS, session.manager)
    session.manager.allow_workers()

    def tidy() -> None:
        unregister_unready()
        session.strays.take_out(nodes.NODE_CLASS_MAPPINGS)

    session.connect(Injector(server.loop, backend.feed.nodes_changed, tidy))
    # These wait until ComfyUI, in whose loop we are called, has loaded all packs.
    server.loop.call_soon_threadsafe(tidy)
    server.loop.call_soon_threadsafe(session.manager.prepare)
    server.loop.call_soon_threadsafe(late_routes.make_soon)
    return True


def _host_facts() -> HostFacts:
    # Late, as in `connect`: these are ComfyUI's.
    import comfyui_version
    from comfy.cli_args import args

    from comfy_env_core.api.backend import HostFacts

    return HostFacts(comfyui_version.__version__, listens_remotely(args), _recent_log)


def _recent_log() -> str:
    """What ComfyUI itself shows in its panel of logs: the last few hundred lines."""
    # Late, as in `connect`: this is ComfyUI's.
    from app.logger import get_logs  # type: ignore[import-not-found]

    return "".join(str(entry["m"]) for entry in tuple(get_logs() or ()))


class _AllowingWorkers:
    """A `ModuleProvider` that knows that ComfyUI has begun to load packs: from then on workers may be started."""

    def __init__(self, presence: Presence, manager: Manager, folders: Folders) -> None:
        self._presence = presence
        self._manager = manager
        self._folders = folders

    def provide(self, module: ModuleType, location: Path) -> None:
        self._manager.allow_workers()
        self._presence.provide(module, location)
        site = self._presence.site
        known = site.description(site.module_name_of(location))
        if known is not None:
            self._folders.repeat(site.id, known.get("folder_changes", ()))


def _tell(found: Scan, manager: Manager, store: Store) -> None:
    sites = list(manager.sites.values())
    if not sites:
        log.info(
            "comfy-env manager %s: no pack with a comfy-env.toml (%.0f ms)",
            __version__,
            found.duration_s * 1e3,
        )
        return
    ready = [site for site in sites if site.state is SiteState.READY]
    log.info(
        "comfy-env manager %s: %d isolated (%s), %d of them ready; environments in %s, logs in %s",
        __version__,
        len(sites),
        ", ".join(sorted(site.id for site in sites)) if len(sites) <= 12 else f"{len(found.packs)} packs",
        len(ready),
        store.root,
        store.logs_dir,
    )
    odd = [site.id for site in found.sites if site.spec is not None and site.spec.warnings]
    if odd:
        log.info(
            "Older forms, or things without effect, in the comfy-env.toml of %s. `python -m comfy_env_core scan` in %s "
            "tells which.",
            ", ".join(sorted(odd)[:5]) + (f" and {len(odd) - 5} more" if len(odd) > 5 else ""),
            Path(__file__).parents[2],
        )
    if manager.mode is BuildMode.BACKGROUND and len(ready) < len(sites):
        log.info("The others are built once ComfyUI is up; their nodes appear when that is done.")
