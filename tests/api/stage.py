"""The API on a stage: real routes on a real HTTP server, a real manager over a temporary store, packs made for a test.

Only the engine is ours (`scripted_engine`): no network, and builds go as a test wants. Workers are real processes.

    with Stage(tmp_path) as stage:                     # or the fixture `make_stage`
        stage.add_pack("mesh")
        stage.open()
        stage.manager.wait(30)
        answer = stage.request("GET", "/comfy-env/status")

As a program it serves packs in all states, for looking at the panel in a browser:

    python tests/api/stage.py --port 8190 [--environments 200 --workers 20]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from aiohttp import WSMsgType, web
from api.scripted_engine import Course, ScriptedEngine, fill

from comfy_env_core.api.backend import HostFacts
from comfy_env_core.api.clients import Clients
from comfy_env_core.api.opening import open_backend
from comfy_env_core.api.serving import add_routes
from comfy_env_core.assembly import root_module_name
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.install_log import utc_now
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import Site, host_skips, scan, source_fingerprint
from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.meta import Meta, MetaPackage, write_meta
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode, Manager, ManagerParts
from comfy_env_core.sites.planning import Planner
from comfy_env_core.sites.record import FORMAT, record_path
from comfy_env_core.supervision import WorkerPool, WorkerSpec

#: A pack with one node. It says nothing of the host, so that its environment needs nothing of the host.
NODE = """
class Echo:
    FUNCTION = "echo"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING",)}}

    def echo(self, text):
        print("echoes", text)
        return (text + "!",)


NODE_CLASS_MAPPINGS = {"Echo": Echo}
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """`json`: the body parsed, None where it is no JSON. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content) if "json" in self.headers.get("content-type", "") else None

    @property
    def text(self) -> str:
        return self.content.decode("utf-8")


@dataclasses.dataclass(frozen=True)
class SentEvent:
    """One call of `send_sync`, as ComfyUI's server has it. `client_id`: None for every page."""

    event: str
    data: Any
    client_id: str | None


class Stage:
    """Owned by whoever made it, who must `close` it or use it as a context manager.

    - `url`: of the server, without a path. `sent`: the events so far. `engine`: how builds go.
    - `manager`, `backend`: after `open`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        environ: Mapping[str, str] | None = None,
        facts: HostFacts | None = None,
        middlewares: Sequence[Any] = (),  # Any: aiohttp's middlewares
        port: int = 0,
    ) -> None:
        self.custom_nodes = directory / "custom_nodes"
        self.custom_nodes.mkdir(parents=True, exist_ok=True)
        self.store = Store(directory / "store")
        self.engine = ScriptedEngine()
        self.environ = {**os.environ, "COMFY_ENV_ROOT": str(self.store.root), **(environ or {})}
        self.facts = facts or HostFacts(comfyui_version="0.0-stage")
        self.url = ""
        self.sent: list[SentEvent] = []
        self._server = StageServer(tuple(middlewares), port)
        self._heard = threading.Condition()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- before it opens ---------------------------------------------------------------------------------------------

    def add_pack(self, name: str, config: str | None = None, files: Mapping[str, str] | None = None) -> Path:
        """A pack that is isolated as a whole. Its own `config` gives it an environment of its own; packs with the same
        text share one. `files`: path below the pack → text, `__init__.py` with the node Echo if none are given."""
        pack = self.custom_nodes / name
        texts = {
            "comfy-env.toml": f"# {name}\n" if config is None else config,
            "__init__.py": NODE,
            **(files or {}),
        }
        for path, text in texts.items():
            target = pack / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text), encoding="utf-8")
        return pack

    def add_course(self, name: str, **course: Any) -> Course:
        """How the builds of that pack go; Any: the fields of a `Course`."""
        return self.engine.courses.setdefault(name, Course(**course))

    # --- open --------------------------------------------------------------------------------------------------------

    def open(
        self, mode: BuildMode = BuildMode.BACKGROUND, *, workers: bool = True, prepare: bool = True
    ) -> Stage:
        """Starts a manager over the packs, as a start of ComfyUI does, and the server."""
        self.manager = self._manager(mode)
        if workers:
            self.manager.allow_workers()
        self.manager.start()
        self.backend = open_backend(
            self.manager,
            Clients(self.send_sync, self._server.is_connected, lambda: self._server.waiting > 100),
            facts=self.facts,
            environ=self.environ,
        )
        routes = web.RouteTableDef()
        add_routes(routes, self.backend)
        self.url = self._server.start(routes)
        if prepare:
            self.manager.prepare()
        return self

    def close(self) -> None:
        if hasattr(self, "manager"):
            for course in self.engine.courses.values():
                if course.gate is not None:
                    course.gate.set()
            self.manager.shutdown()
        self._server.stop()

    def _manager(self, mode: BuildMode) -> Manager:
        parts = ManagerParts(
            store=self.store,
            planner=self._planner(),
            make_builder=lambda tell: Builder(self.store, lambda report: self.engine, [tell]),
            make_pool=lambda tell: WorkerPool(SilentServices(), on_change=tell),
            make_spec=WorkerSpec,
            comfyui_source=None,
            module_name=root_module_name,
            custom_nodes=[self.custom_nodes],
        )
        return Manager(parts, scan([self.custom_nodes], host_skips(False, ())), mode)

    def _planner(self) -> Planner:
        return Planner(None, UserSettings, self.environ)

    # --- what pages do -----------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,  # Any: JSON
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """One request whose refusal is an answer too. `body` goes as JSON, `content` as it is."""
        data = json.dumps(body).encode() if body is not None else content
        asked = urllib.request.Request(self.url + path, data=data, method=method)
        if body is not None:
            asked.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            asked.add_header(name, value)
        try:
            with urllib.request.urlopen(asked, timeout=timeout_s) as answer:
                return _answer(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return _answer(refused)

    def get(self, path: str) -> Any:
        """The JSON at a path below `/comfy-env`, which must be there."""
        answer = self.request("GET", "/comfy-env" + path)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path: str, body: Any = None) -> Any:
        """The same for a POST, `{}` if nothing is said; 200 or 202."""
        answer = self.request("POST", "/comfy-env" + path, {} if body is None else body)
        assert answer.status in (200, 202), answer
        return answer.json

    def wait_for_job(self, accepted: Any, timeout_s: float = 30.0) -> Any:
        """The job of an answer with status 202, once it has ended; Any: a `JobJson`."""
        job_id = accepted["job"]["id"]
        deadline = time.monotonic() + timeout_s
        while (job := self.get(f"/jobs/{job_id}"))["state"] == "running":
            assert time.monotonic() < deadline, f"still running after {timeout_s} s: {job}"
            time.sleep(0.02)
        return job

    def run_node(self, site_id: str, text: str = "hello", timeout_s: float = 30.0) -> Any:
        """What the node Echo of a pack made here answers; Any: a node's outputs."""
        runtime = self.manager.sites[site_id]
        request = {
            "class": [runtime.own_module_name, "Echo"],
            "instance": "1",
            "function": "echo",
            "args": [],
            "kwargs": {"text": text},
            "context": {"prompt_id": None, "node_id": None, "list_index": None},
        }
        return self.manager.run(runtime, request).result(timeout_s=timeout_s)

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None:
        """As ComfyUI's server has it: from any thread, to one page or to all."""
        with self._heard:
            self.sent.append(SentEvent(event, data, sid))
            self._heard.notify_all()
        self._server.send(event, data, sid)

    def wait_for_event(
        self, event: str, wanted: Callable[[Any], bool] = lambda data: True, timeout_s: float = 20.0
    ) -> Any:
        """The data of the first event, of all so far and to come, that is `wanted`."""

        def found() -> SentEvent | None:
            return next((one for one in self.sent if one.event == event and wanted(one.data)), None)

        with self._heard:
            one = self._heard.wait_for(found, timeout_s)
        assert one is not None, f"no such {event} within {timeout_s} s; there were {self.sent}"
        return one.data

    # --- many ready packs at once ------------------------------------------------------------------------------------

    def add_ready_packs(self, count: int, name: str = "pack-{:03}") -> list[str]:
        """Packs that an earlier start built and described, without the time that this takes. Before `open`."""
        names = [name.format(number) for number in range(count)]
        for one in names:
            self.add_pack(one, f'# {one}\n[pypi-dependencies]\nsome-package = "*"\n')
        planner = self._planner()
        found = {site.id: site for site in scan([self.custom_nodes], host_skips(False, ())).sites}
        template = self._described(names[0]) if names else {}
        for one in names:
            self._make_ready(found[one], planner, template)
        return names

    def _described(self, name: str) -> Mapping[str, Any]:
        """What a worker says of the pack, as it is remembered; Any: JSON."""
        manager = self._manager(BuildMode.BACKGROUND)
        try:
            manager.allow_workers()
            manager.start()
            manager.prepare([manager.sites[name]])
            assert manager.sites[name].wait_until_settled(60) and manager.sites[name].failure is None
        finally:
            manager.shutdown()
        text = record_path(self.store.descriptions_dir, self.custom_nodes / name).read_text()
        record: Mapping[str, Any] = json.loads(
            text.replace(root_module_name(self.custom_nodes / name), "{module}")
        )
        return record

    def _make_ready(self, site: Site, planner: Planner, template: Mapping[str, Any]) -> None:
        plan = planner.plan(site, ())
        environment = self.store.environment(plan.environment_id)
        if environment.current() is None:
            workspace = environment.begin_generation()
            built = fill(workspace, plan.pypi)
            environment.log_path.write_text(f"built {site.id}\n" * 20)
            write_meta(workspace.meta_path, _meta(plan, built.packages, built.python_version))
            write_atomically(workspace.done_path, b"")
            environment.switch_to(workspace)
        source = source_fingerprint(site, ())
        record = json.loads(json.dumps(template).replace("{module}", root_module_name(site.directory)))
        record |= {
            "format": FORMAT,
            "plan_key": planner.plan_key(site, source, plan.host_need),
            "environment_id": plan.environment_id,
            "source": source,
        }
        write_atomically(
            record_path(self.store.descriptions_dir, site.directory), json.dumps(record).encode()
        )


class StageServer:
    """aiohttp on a thread of its own, with ComfyUI's way of mounting routes and its websocket at /ws."""

    def __init__(self, middlewares: Sequence[Any], port: int) -> None:
        self._middlewares = middlewares
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stage", daemon=True)
        self._pages: dict[str, web.WebSocketResponse] = {}
        self._messages: asyncio.Queue[tuple[str, Any, str | None]] = asyncio.Queue()
        self._runner: web.AppRunner | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def start(self, routes: web.RouteTableDef) -> str:
        """The address, once it listens."""
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._open(routes), self._loop).result(10)

    def send(self, event: str, data: Any, client_id: str | None) -> None:
        """In one row, and encoded on the event loop, as ComfyUI does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._messages.put_nowait, (event, data, client_id))

    @property
    def waiting(self) -> int:
        """Messages that no page has taken yet."""
        return self._messages.qsize()

    def is_connected(self, client_id: str) -> bool:
        return client_id in self._pages

    def stop(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        self._loop.close()

    async def _open(self, routes: web.RouteTableDef) -> str:
        app = web.Application(middlewares=self._middlewares, client_max_size=100 * 2**20)
        for route in routes:
            assert isinstance(route, web.RouteDef)
            app.router.add_route(route.method, "/api" + route.path, route.handler, **route.kwargs)
        app.add_routes(routes)
        app.router.add_get("/ws", self._websocket)
        app.router.add_get("/api/ws", self._websocket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._publishing = asyncio.create_task(self._publish())
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        page = web.WebSocketResponse()
        await page.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self._pages[client_id] = page
        status = {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client_id}
        await page.send_str(json.dumps({"type": "status", "data": status}))
        try:
            async for message in page:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            if self._pages.get(client_id) is page:
                del self._pages[client_id]
        return page

    async def _publish(self) -> None:
        while True:
            event, data, client_id = await self._messages.get()
            pages = [page for id_, page in self._pages.items() if client_id in (None, id_)]
            for page in pages:
                with contextlib.suppress(ConnectionError):  # it went away meanwhile
                    await page.send_json({"type": event, "data": data})

    async def _close(self) -> None:
        for page in list(self._pages.values()):
            await page.close()
        if self._runner is not None:
            await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class SilentServices:
    """A host that is asked nothing."""

    def progress(self, value: Any, total: Any, preview: Any, node_id: str | None) -> None: ...

    def send_sync(self, event: Any, data: Any, sid: Any) -> None: ...

    def folder_paths(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        raise AttributeError(function)


def _answer(response: Any) -> Answer:  # Any: urllib's answers and errors have no common type
    return Answer(
        response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()
    )


def _meta(plan: BuildPlan, packages: Sequence[Any], python_version: str) -> Meta:
    return Meta(
        environment_id=plan.environment_id,
        engine=ScriptedEngine.name,
        engine_version=ScriptedEngine.version,
        python_version=python_version,
        packages=tuple(MetaPackage(one.name, one.version, one.source) for one in packages),
        config_path=str(plan.spec.path),
        facts=plan.facts,
        built_at=utc_now(),
        duration_s=1.5,
        manager_version="0",
    )


# --- as a program ----------------------------------------------------------------------------------------------------


def add_packs_of_all_kinds(stage: Stage) -> None:
    """What people have: ready, shared, slow, failing, mistaken, and one whose import fails."""
    stage.add_pack("mesh-tools")
    stage.add_pack("textures", "# shared\n")
    stage.add_pack("more-textures", "# shared\n")
    stage.add_pack("slow-splats", '# slow\n[pypi-dependencies]\nsplats = "*"\n')
    stage.add_course("slow-splats", seconds=60, lines=20_000, packages=48)
    stage.add_pack("no-wheel", '# fails\n[pypi-dependencies]\ngone = "*"\n')
    failure = BuildError(
        BuildCause.NO_MATCHING_WHEEL,
        "There is no wheel of 'gone' for Python 3.11 on linux-64.",
        tail=("ERROR: Could not find a version that satisfies the requirement gone",),
    )
    stage.add_course("no-wheel", seconds=1, lines=200, failure=failure)
    stage.add_pack("mistaken", "python = 3.10\n")
    stage.add_pack("broken-import", files={"__init__.py": "import not_there\n"})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Serve the API and the panel over packs that are made up.")
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--environments", type=int, default=0, help="this many ready packs instead")
    parser.add_argument("--workers", type=int, default=0, help="of them with a running worker")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory, Stage(Path(directory), port=options.port) as stage:
        if options.environments:
            names = stage.add_ready_packs(options.environments)
        else:
            names = ["mesh-tools"]
            add_packs_of_all_kinds(stage)
        stage.open()
        for name in names[: options.workers]:
            stage.run_node(name)
        print(f"{stage.url}/comfy-env/", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
