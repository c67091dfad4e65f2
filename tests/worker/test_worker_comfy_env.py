"""`import comfy_env` in a worker: packs written for it find what they call, and its environment may even hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakepack import NODE, request, spec_for, write_pack
from nodecalls import start_nodes
from patience import PATIENCE_S
from workers import StartWorker

THREE_CALLS = """
import os
from comfy_env import copy_files, install, isolated, register_nodes, setup_env
setup_env()
INSTALLED = install()
IS_WORKER = os.environ.get("COMFYUI_ISOLATION_WORKER")
NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS = register_nodes()
"""
DECORATED = "from comfy_env import isolated\n\n@isolated(env='my-env', import_paths=['.'])" + NODE.rstrip(
    "\n"
)
RUN = "\n    def run(self):\n        return __name__\n\nNODE_CLASS_MAPPINGS = {'Node': Node}\n"


def describe(worker: Any) -> dict[str, Any]:
    described: dict[str, Any] = worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)
    return described


@pytest.fixture
def whole_pack(tmp_path: Path) -> Path:
    """Isolated as a whole, so that all of its calls are made in the worker."""
    return write_pack(tmp_path, {"__init__.py": THREE_CALLS, "nodes/mesh/__init__.py": DECORATED + RUN})


def test_pack_written_for_comfy_env_runs_unmodified(whole_pack: Path, start_worker: StartWorker) -> None:
    worker = start_worker(spec_for(whole_pack))
    described = describe(worker)
    assert described["exports"]["INSTALLED"] == {"value": True}
    assert described["exports"]["IS_WORKER"] == {"value": "1"}
    (kind,) = described["classes"]
    where = worker.call("run", request(kind["module"], "run", qualname=kind["qualname"])).result(PATIENCE_S)
    assert where == f"{worker.spec.module_name}.nodes.mesh"


def test_ours_is_served_where_the_environment_holds_another(
    tmp_path: Path, whole_pack: Path, start_worker: StartWorker
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "comfy_env.py").write_text("raise RuntimeError('the installed one was imported')\n")
    spec = spec_for(whole_pack, host_facts={"pack_paths": [str(tmp_path / "site")]})
    assert describe(start_worker(spec))["exports"]["INSTALLED"] == {"value": True}


SERIALIZER = """
try:
    from comfy_env.isolation.workers._ipc_shared import register_serializer
except ImportError:
    from _ipc_shared import register_serializer

class Mesh:
    def __init__(self, points):
        self.points = points

register_serializer(
    "Mesh", lambda mesh, recurse: {"p": recurse(mesh.points)}, lambda content, recurse: Mesh(recurse(content["p"])),
    tag="my.Mesh",
)
"""


def test_serializers_registered_by_modules_carry_objects_to_another_environment(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    """Each pack's own class of that name, as it registered it; there is no serialization.py."""
    make = "def make(self):\n    return Mesh([1, 2])\n"
    use = "def use(self, mesh):\n    return isinstance(mesh, Mesh), mesh.points\n"
    maker = start_nodes(tmp_path / "make", start_worker, make, SERIALIZER, pack_name="maker")
    user = start_nodes(tmp_path / "use", start_worker, use, SERIALIZER, pack_name="user")
    user.get("lent")  # The module is imported: what it registers is not known before.
    assert tuple(user.get("use", maker.get("make"))) == (True, [1, 2])


def test_routes_declared_in_a_list_are_told_to_the_host(tmp_path: Path, start_worker: StartWorker) -> None:
    routes = """
    ROUTES = [
        {"method": "POST", "path": "/mesh/upload", "handler": "upload"},
        {"path": "/mesh/broken", "handler": "not_there"},
        "something else",
    ]
    def upload(body):
        return {"ok": True}
    """
    pytest.importorskip("aiohttp")
    pack = write_pack(tmp_path, {"__init__.py": "from . import routes\n", "routes.py": routes})
    worker = start_worker(spec_for(pack))
    told = describe(worker)["web"]["routes"]
    assert [method for method, _ in told] == ["POST", "POST"], "once more below /api, as ComfyUI does"
    assert all("mesh/upload" in pattern.replace("\\", "") for _, pattern in told)
    worker.stop(5)
    assert "ROUTES names the handler 'not_there', which is not there" in worker.spec.log_path.read_text()
