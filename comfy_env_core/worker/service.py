"""The methods a worker offers: ping, describe and describe_inputs, run, forget, shutdown, the use of what it lent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from comfy_env_core.wire.calls import IncomingCall
from comfy_env_core.wire.connection import Connection
from comfy_env_core.wire.crew import Crew
from comfy_env_core.worker.comfyui.bridges import Bridges
from comfy_env_core.worker.comfyui.host_objects import install_host_objects
from comfy_env_core.worker.comfyui.memory import WorkerMemory
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.mainthread import MainThread
from comfy_env_core.worker.nodes.classes import NodeClasses
from comfy_env_core.worker.nodes.entrypoints import Entrypoints
from comfy_env_core.worker.nodes.execution import NodeExecution
from comfy_env_core.worker.nodes.loading import SiteLoader
from comfy_env_core.worker.running import RunningCalls
from comfy_env_core.worker.standins import install_standins
from comfy_env_core.worker.standins.comfy_env import install_comfy_env
from comfy_env_core.worker.web.registrations import Registrations
from comfy_env_core.worker.web.route_lists import RouteLists
from comfy_env_core.worker.web.site import SiteWeb


class Method(NamedTuple):
    """Something the host may call. `aside`: on a thread beside the main one, also while a node runs."""

    function: Callable[..., Any]
    aside: bool = False


class Service:
    """Answers the host. All node code runs on the main thread; what the host does with an object that it was lent runs
    there, too, unless a node is running: then on threads beside it, as in ComfyUI, where objects are used from
    anywhere. What a thread waits for the host to do may lead back here: then that thread does it.
    """

    def __init__(self, configuration: Configuration, main_thread: MainThread) -> None:
        self._configuration = configuration
        self._main_thread = main_thread
        self._running = RunningCalls()
        self._bridges = Bridges(configuration)
        self._loader = SiteLoader(configuration)
        self._classes = NodeClasses(self._loader, Entrypoints(main_thread.complete, configuration.comfyui))
        self._execution = NodeExecution(
            self._classes, self._running, self._bridges, main_thread, self._loader.site_module
        )
        self._crew = Crew("comfy-env objects")
        self._home: Home | None = None
        self._registrations = Registrations(
            configuration.pack_name, configuration.max_upload_bytes, configuration.host_facts.get("source")
        )
        site_web = SiteWeb(self._registrations, self._loader)
        self._memory = WorkerMemory()
        self._methods = {
            "describe": Method(self.describe),
            "describe_inputs": Method(self.describe_inputs),
            "forget": Method(self._execution.forget),
            "load": Method(site_web.load),
            "missing": Method(site_web.missing, aside=True),
            "open_web": Method(site_web.open, aside=True),
            "rewrite_prompt": Method(site_web.rewrite_prompt, aside=True),
            "has_state": Method(self.has_state, aside=True),
            "release_memory": Method(self._memory.release),
            "tidy_memory": Method(self._memory.tidy),
        }

    def attach(self, connection: Connection) -> None:
        """The way home is known: make the host's modules and the site's own importable."""
        self._home = home = Home(connection, self._running)
        self._loader.install()
        self._memory.attach(home, connection.memory)
        self._bridges.install(home, self._memory)
        install_host_objects(home, self._configuration)
        install_standins(home, self._configuration, self._registrations)
        install_comfy_env(self._configuration, connection.codecs)
        self._loader.after_import.append(
            RouteLists(self._registrations, self._loader.site_module).register_new
        )

    def dispatch(self, call: IncomingCall) -> None:
        """Take a call on whichever thread reads."""
        if call.method == "ping":
            call.reply({"time_s": time.monotonic()})
        elif call.method == "shutdown":
            self._main_thread.is_stopping = True
            call.reply(None)
            self._main_thread.stop()
        elif self._belongs_aside(call):
            self._crew.post(lambda: call.connection.perform(call))
        else:
            self._main_thread.post(lambda: call.connection.perform(call))

    def perform(self, call: IncomingCall) -> None:
        """Answer on this thread, for Connection.perform."""
        if call.method == "run":
            self._execution.run(call)
        else:
            self._answer(call)

    def describe(self, module: str, path: str | None = None) -> dict[str, Any]:
        """Import a module of the site and describe it (see description.py).

        "web" is what the pack has registered with ComfyUI's server so far (see web/registrations.py), "folder_changes"
        what its modules did to `folder_paths` (see wire.values.folder_changes).
        """
        # Late: it needs inspect, which a warm boot that only runs nodes can do without.
        from comfy_env_core.worker.nodes.description import describe_module  # noqa: PLC0415

        description = describe_module(self._loader.load(module, path), self._classes)
        folder_changes = list(self._home.folder_changes) if self._home is not None else []
        return {**description, "web": self._registrations.describe(), "folder_changes": folder_changes}

    def describe_inputs(self, names: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """What INPUT_TYPES of these classes ([module, qualname] each) say now (see description.py)."""
        from comfy_env_core.worker.nodes.description import describe_inputs  # noqa: PLC0415  # late, as above

        return [describe_inputs(self._classes.find(module, qualname)) for module, qualname in names]

    def has_state(self) -> bool:
        """Whether this process remembers something that a new one would not (called beside the main thread)."""
        return self._execution.has_state() or self._registrations.has_state()

    def _belongs_aside(self, call: IncomingCall) -> bool:
        if call.connection.is_own(call):
            return self._main_thread.is_busy
        method = self._methods.get(call.method)
        return method is not None and method.aside

    def _answer(self, call: IncomingCall) -> None:
        try:
            if call.connection.is_own(call):
                call.reply(call.connection.answer(call))
                return
            method = self._methods.get(call.method)
            if method is None:
                raise LookupError(f"A comfy-env worker has no method {call.method!r}")
            call.reply(method.function(*call.args()))
        # SystemExit and KeyboardInterrupt too: a pack that raises them on import has failed, the worker has not.
        except BaseException as error:  # noqa: BLE001
            call.fail(error)
