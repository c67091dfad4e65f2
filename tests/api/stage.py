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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from aiohttp import web
from api.ready_packs import ReadyPacks
from api.scripted_engine import Course, ScriptedEngine
from api.stage_server import StageServer
from patience import PATIENCE_S

from comfy_env_core.api.backend import HostFacts
from comfy_env_core.api.clients import Clients
from comfy_env_core.api.opening import open_backend
from comfy_env_core.api.serving import add_routes
from comfy_env_core.assembly import root_module_name
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode, Manager, ManagerParts
from comfy_env_core.sites.planning import Planner
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

    def add_ready_packs(self, count: int, name: str = "pack-{:03}") -> list[str]:
        """Packs that an earlier start built and described, without the time that this takes. Before `open`."""
        names = [name.format(number) for number in range(count)]
        for one in names:
            self.add_pack(one, f'# {one}\n[pypi-dependencies]\nsome-package = "*"\n')
        if names:
            manager = self._make_manager(BuildMode.BACKGROUND)
            ReadyPacks(manager, self._planner()).make(names)
        return names

    # --- open --------------------------------------------------------------------------------------------------------

    def open(
        self, mode: BuildMode = BuildMode.BACKGROUND, *, workers: bool = True, prepare: bool = True
    ) -> Stage:
        """Starts a manager over the packs, as a start of ComfyUI does, and the server."""
        self.manager = self._make_manager(mode)
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

    def _make_manager(self, mode: BuildMode) -> Manager:
        """Over the packs as they are now; not started."""
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
        timeout_s: float = PATIENCE_S,
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

    def wait_for_job(self, accepted: Any, timeout_s: float = PATIENCE_S) -> Any:
        """The job of an answer with status 202, once it has ended; Any: a `JobJson`."""
        job_id = accepted["job"]["id"]
        deadline = time.monotonic() + timeout_s
        while (job := self.get(f"/jobs/{job_id}"))["state"] == "running":
            assert time.monotonic() < deadline, f"still running after {timeout_s} s: {job}"
            time.sleep(0.02)
        return job

    def run_node(self, site_id: str, text: str = "hello", timeout_s: float = PATIENCE_S) -> Any:
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
        self, event: str, wanted: Callable[[Any], bool] = lambda data: True, timeout_s: float = PATIENCE_S
    ) -> Any:
        """The data of the first event, of all so far and to come, that is `wanted`."""

        def found() -> SentEvent | None:
            return next((one for one in self.sent if one.event == event and wanted(one.data)), None)

        with self._heard:
            one = self._heard.wait_for(found, timeout_s)
        assert one is not None, f"no such {event} within {timeout_s} s; there were {self.sent}"
        return one.data


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
