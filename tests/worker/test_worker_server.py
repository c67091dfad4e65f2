"""The module `server` as packs use it in a worker: facts of the run, messages, ComfyUI's own server, registrations."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any

import pytest
from fakepack import RecordingServices, node_pack, request, spec_for, write_pack
from patience import PATIENCE_S, eventually
from workers import StartWorker

from comfy_env_core.supervision import Service, Worker, WorkerSpec

NO_AIOHTTP = """
import sys
sys.modules["aiohttp"] = None
from server import PromptServer
"""


def run(worker: Worker, *args: Any) -> Any:
    return worker.call("run", request(worker.spec.module_name, "run", *args)).result(PATIENCE_S)


class Queue:
    """Stands for the host's prompt queue: not plain data, so it stays here."""

    def __init__(self) -> None:
        self.history = {"p": {"outputs": {}}}

    def get_history(self, prompt_id: str | None = None) -> dict[str, Any]:
        return self.history


def host_server(services: RecordingServices, **attributes: Any) -> None:
    def prompt_server(asker: WorkerSpec, name: str) -> Any:
        if name not in attributes:
            raise AttributeError(f"'PromptServer' object has no attribute {name!r}")
        return attributes[name]

    services.more["prompt_server"] = Service(prompt_server)


def test_what_the_hosts_server_lacks_is_an_attribute_error(
    tmp_path: Path, services: RecordingServices, start_worker: StartWorker
) -> None:
    host_server(services)
    body = """
    def run(self):
        from server import PromptServer
        assert not hasattr(PromptServer.instance, "no_such_thing")
        return PromptServer.instance.no_such_thing
    """
    worker = start_worker(spec_for(node_pack(tmp_path, body)))
    with pytest.raises(AttributeError, match="no_such_thing"):
        run(worker)


def test_without_a_running_comfyui_the_import_still_works(tmp_path: Path, start_worker: StartWorker) -> None:
    before = """
    import server
    instance = server.PromptServer.instance
    had_queue = hasattr(instance, "prompt_queue")
    installs_js = "custom_nodes_from_web" not in instance.supports
    """
    body = """
    def run(self):
        return had_queue, installs_js, instance.client_id
    """
    worker = start_worker(spec_for(node_pack(tmp_path, body, before)))
    assert run(worker) == (False, False, None)


def test_routes_in_an_environment_without_aiohttp_are_an_error_that_names_the_remedy(
    tmp_path: Path, start_worker: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = (
        NO_AIOHTTP
        + """
@PromptServer.instance.routes.get("/pack/{name}")
async def answer(request):
    pass

PromptServer.instance.app.router.add_static("/pack/static", "/nowhere")
assert list(PromptServer.instance.routes) == []
NODE_CLASS_MAPPINGS = {}
"""
    )
    worker = start_worker(spec_for(write_pack(tmp_path, {"__init__.py": source})))

    description = worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)

    assert description["web"] == {"routes": [], "statics": [], "prompt_handlers": 0}
    assert eventually(lambda: "'/pack/static'" in caplog.text)
    assert "routes.get('/pack/{name}') of 'fake-pack' is not served" in caplog.text
    assert 'aiohttp = "*"' in caplog.text


def test_web_of_server_without_aiohttp_is_an_import_error_that_names_the_remedy(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    source = NO_AIOHTTP + "from server import web\n"
    worker = start_worker(spec_for(write_pack(tmp_path, {"__init__.py": source})))
    with pytest.raises(ImportError, match=r"no aiohttp\. Add it to the comfy-env\.toml"):
        worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)


def test_a_pack_without_routes_imports_neither_aiohttp_nor_asyncio(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    body = """
    def run(self):
        import sys
        from server import PromptServer
        PromptServer.instance.add_on_prompt_handler(lambda prompt: prompt)
        return "aiohttp" in sys.modules, "asyncio" in sys.modules
    """
    worker = start_worker(spec_for(node_pack(tmp_path, body)))
    assert run(worker) == (False, False)


def test_the_hosts_objects_are_used_where_they_are(
    tmp_path: Path, services: RecordingServices, start_worker: StartWorker
) -> None:
    queue = Queue()
    host_server(services, prompt_queue=queue, number=7, sockets={"a": 1})
    body = """
    def run(self):
        from server import PromptServer
        server = PromptServer.instance
        server.prompt_queue.history["q"] = 1
        return server.prompt_queue.get_history(), server.number, list(server.sockets)
    """
    worker = start_worker(spec_for(node_pack(tmp_path, body)))
    assert run(worker) == ({"p": {"outputs": {}}}, 7, ["a"])


def test_facts_of_the_run_are_read_and_a_packs_own_attributes_kept(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    body = """
    def run(self):
        from server import PromptServer
        server = PromptServer.instance
        server.pack_cache = {"kept": True}
        found = server.last_node_id, server.last_prompt_id, server.client_id
        server.client_id = "mine"
        return found, server.client_id, PromptServer.instance.pack_cache, isinstance(server, PromptServer)
    """
    worker = start_worker(spec_for(node_pack(tmp_path, body)))
    assert run(worker) == (("7", "prompt", None), "mine", {"kept": True}, True)


def test_messages_of_every_kind_arrive_as_they_were_sent(
    tmp_path: Path, services: RecordingServices, start_worker: StartWorker
) -> None:
    pytest.importorskip("PIL")
    body = """
    async def run(self):
        from PIL import Image
        from server import BinaryEventTypes, PromptServer
        server = PromptServer.instance
        preview = ("PNG", Image.new("RGB", (2, 1), (1, 2, 3)), None)
        server.send_sync("text", {"a": 1}, "sid")
        server.send_sync(BinaryEventTypes.TEXT, b"bytes")
        server.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, preview, None)
        server.send_progress_text("ü", "12")
        await server.send("later", [1])
        return ()
    """
    worker = start_worker(spec_for(node_pack(tmp_path, body)))
    run(worker)

    assert eventually(lambda: len(services.sent) == 5)
    assert services.sent[:2] == [("text", {"a": 1}, "sid"), (3, b"bytes", None)]
    event, (kind, image, size), _ = services.sent[2]
    assert (event, kind, image.getpixel((1, 0)), size) == (2, "PNG", (1, 2, 3), None)
    assert services.sent[3] == (3, struct.pack(">I", 2) + b"12" + "ü".encode(), None)
    assert services.sent[4] == ("later", [1], None)


def test_the_servers_loop_runs_what_is_given_to_it_at_import(
    tmp_path: Path, services: RecordingServices, start_worker: StartWorker
) -> None:
    source = """
import asyncio, threading
from server import PromptServer

async def begin():
    await asyncio.sleep(0)
    PromptServer.instance.send_sync("begun", {"main": threading.current_thread() is threading.main_thread()})

PromptServer.instance.loop.create_task(begin())
asyncio.run_coroutine_threadsafe(begin(), PromptServer.instance.loop)
NODE_CLASS_MAPPINGS = {}
"""
    worker = start_worker(spec_for(write_pack(tmp_path, {"__init__.py": source})))
    worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)

    assert eventually(lambda: len(services.sent) == 2)
    assert services.sent == [("begun", {"main": False}, None)] * 2


def test_stand_ins_lie_where_comfyuis_modules_do(tmp_path: Path, start_worker: StartWorker) -> None:
    body = """
    def run(self):
        import comfy, comfy.utils, folder_paths, server
        return [module.__file__ for module in (folder_paths, server, comfy, comfy.utils)]
    """
    worker = start_worker(spec_for(node_pack(tmp_path, body), host_facts={"source": "/comfyui"}))
    names = ["folder_paths.py", "server.py", "comfy/__init__.py", "comfy/utils.py"]
    assert run(worker) == [f"/comfyui/{name}" for name in names]


def test_scripts_that_a_pack_copies_into_comfyuis_folder_are_named_in_the_log(
    tmp_path: Path, start_worker: StartWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "comfyui" / "web" / "extensions" / "theirs").mkdir(parents=True)
    source = """
import os, folder_paths
target = os.path.join(os.path.dirname(folder_paths.__file__), "web", "extensions", "mine")
os.makedirs(target)
NODE_CLASS_MAPPINGS = {}
"""
    pack = write_pack(tmp_path, {"__init__.py": source})
    worker = start_worker(spec_for(pack, host_facts={"source": str(tmp_path / "comfyui")}))

    worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)

    assert eventually(lambda: "'fake-pack' put 'mine' into" in caplog.text)
