"""Which modules of a pack run in a worker, under which names, and how they are described."""

from __future__ import annotations

import operator
import types
from pathlib import Path
from typing import Any

import pytest
from fakepack import NODE, RecordingServices, request, spec_for, write_pack
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.wire import thaw

MAPPING = '\nNODE_CLASS_MAPPINGS = {"Node": Node}\n'


def describe(worker: Any, module: str) -> dict[str, Any]:
    result: dict[str, Any] = worker.call("describe", [module]).result(PATIENCE_S)
    return result


def test_isolated_subfolder_runs_without_the_packs_own_init(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = write_pack(
        tmp_path,
        {
            "__init__.py": "raise RuntimeError('the host part ran')\n",
            "nodes/__init__.py": "raise RuntimeError('the host part ran')\n",
            "shared.py": "VALUE = 5\n",
            "nodes/mesh/__init__.py": "from .boolean import Node\nfrom ...shared import VALUE\n" + MAPPING,
            "nodes/mesh/boolean.py": NODE + "    def run(self):\n        return __name__\n",
        },
    )
    worker = start_worker(spec_for(pack, "nodes/mesh"))
    name = f"{worker.spec.module_name}.nodes.mesh"
    described = describe(worker, name)
    assert described["exports"]["VALUE"] == {"value": 5}
    (kind,) = described["classes"]
    assert (kind["module"], kind["qualname"]) == (f"{name}.boolean", "Node")
    assert worker.call("run", request(f"{name}.boolean", "run")).result(PATIENCE_S) == f"{name}.boolean"


def test_subfolder_is_found_by_its_bare_name_too(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(
        tmp_path,
        {"nodes/mesh/__init__.py": "from mesh.part import Node\n" + MAPPING, "nodes/mesh/part.py": NODE},
    )
    worker = start_worker(spec_for(pack, "nodes/mesh"))
    assert describe(worker, "mesh")["classes"][0]["module"] == "mesh.part"


def test_folder_called_nodes_does_not_hide_comfyui(tmp_path: Path, start_worker: StartWorker) -> None:
    comfyui = tmp_path / "ComfyUI"
    comfyui.mkdir()
    (comfyui / "nodes.py").write_text("IS_COMFYUI = True\n")
    pack = write_pack(tmp_path, {"nodes/__init__.py": "import nodes\nFOUND = nodes.IS_COMFYUI\n"})
    worker = start_worker(spec_for(pack, "nodes", comfyui=comfyui))
    assert describe(worker, f"{worker.spec.module_name}.nodes")["exports"]["FOUND"] == {"value": True}


def test_folder_without_init_is_a_namespace(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(
        tmp_path, {"mesh/part.py": "from . import other\n" + NODE + MAPPING, "mesh/other.py": ""}
    )
    worker = start_worker(spec_for(pack, "mesh"))
    name = f"{worker.spec.module_name}.mesh.part"
    assert describe(worker, name)["exports"]["NODE_CLASS_MAPPINGS"] == {"classes": {"Node": 0}}


def test_file_under_a_name_of_its_packs_own_making_is_loaded_by_path(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = write_pack(tmp_path, {"mesh/loose.py": NODE + MAPPING})
    worker = start_worker(spec_for(pack, "mesh"))
    described = worker.call("describe", ["my_loose_nodes", str(pack / "mesh" / "loose.py")]).result(
        PATIENCE_S
    )
    assert described["classes"][0]["module"] == "my_loose_nodes"


#: Whatever ComfyUI looks at in a pack, and a class whose inputs cannot be told.
LOOKED_AT = """
import folder_paths, functools
class AnyType(str):
    def __ne__(self, other):
        return False
ANY = AnyType("*")
class Base:
    CATEGORY = "base"
    _private = 1
class Node(Base):
    FUNCTION = "run"
    RETURN_TYPES = (ANY, "MASK")
    OUTPUT_IS_LIST = (True, False)
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"x": ("FLOAT", {"max": float("inf")}),
                             "model": (folder_paths.get_filename_list("loras"),)}}
    @classmethod
    def IS_CHANGED(cls, x, **kwargs):
        return x
    @staticmethod
    def VALIDATE_INPUTS(x, *, model="a"):
        return True
    async def run(self, x, model):
        return ()
class Broken:
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        raise SystemExit("no licence")
class Plain: pass
NODE_CLASS_MAPPINGS = {"A": Node, "B": Broken}
NODE_DISPLAY_NAME_MAPPINGS = {"A": "A node"}
WEB_DIRECTORY = "./js"
"""


def test_description_keeps_what_comfyui_looks_at(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    services.answers = {"get_filename_list": ["a.pt"]}
    pack = write_pack(tmp_path, {"__init__.py": LOOKED_AT})
    worker = start_worker(spec_for(pack))
    described = describe(worker, worker.spec.module_name)
    exports = described["exports"]
    assert exports["NODE_CLASS_MAPPINGS"]["classes"].keys() == {"A", "B"}
    assert exports["NODE_DISPLAY_NAME_MAPPINGS"] == {"value": {"A": "A node"}}
    assert exports["WEB_DIRECTORY"] == {"value": "./js"}
    assert exports["Plain"] == {"opaque": f"{worker.spec.module_name}.Plain"}
    assert "folder_paths" not in exports
    node = described["classes"][exports["NODE_CLASS_MAPPINGS"]["classes"]["A"]]
    assert set(node["attributes"]) == {"CATEGORY", "FUNCTION", "RETURN_TYPES", "OUTPUT_IS_LIST"}
    returned = thaw(node["attributes"]["RETURN_TYPES"])
    assert returned == ("*", "MASK")
    assert operator.ne(returned[0], "INT") is operator.eq(returned[0], "INT") is False
    inputs = thaw(node["input_types"], types.SimpleNamespace(in_folder={"loras": ["b.pt"]}.get))
    assert inputs["required"]["x"] == ("FLOAT", {"max": float("inf")})
    assert inputs["required"]["model"] == (["b.pt"],)
    functions = node["functions"]
    assert functions["run"]["kind"] == "instance" and functions["run"]["async"]
    assert functions["IS_CHANGED"] == {
        "kind": "class",
        "async": False,
        "parameters": [["cls", 1, False], ["x", 1, False], ["kwargs", 4, False]],
    }
    assert functions["VALIDATE_INPUTS"]["parameters"] == [["x", 1, False], ["model", 3, True]]
    broken = described["classes"][exports["NODE_CLASS_MAPPINGS"]["classes"]["B"]]
    assert broken["input_types"] is None and broken["input_types_error"] == "SystemExit: no licence"


def test_classes_that_share_a_name_are_told_apart_also_by_a_new_worker(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = write_pack(
        tmp_path,
        {
            "__init__.py": """
            def make(number):
                class Node:
                    FUNCTION = "run"
                    RETURN_TYPES = ("INT",)
                    def run(self):
                        return number
                return Node
            NODE_CLASS_MAPPINGS = {"one": make(1), "two": make(2)}
            """
        },
    )
    spec = spec_for(pack)
    described = describe(start_worker(spec), spec.module_name)
    names = [kind["qualname"] for kind in described["classes"]]
    assert names == ["NODE_CLASS_MAPPINGS[one]", "NODE_CLASS_MAPPINGS[two]"]
    fresh = start_worker(spec)
    for name, number in ((names[1], 2), (names[0], 1)):
        answer = fresh.call("run", request(spec.module_name, "run", qualname=name, instance=name)).result(
            PATIENCE_S
        )
        assert answer == number


def test_lean_stand_in_says_what_to_do_about_what_it_lacks(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(tmp_path, {"__init__.py": "import comfy.utils\ncomfy.utils.common_upscale\n"})
    worker = start_worker(spec_for(pack))
    with pytest.raises(AttributeError, match=r'common_upscale is not there.*host = "comfyui"'):
        describe(worker, worker.spec.module_name)


def test_comfyuis_own_modules_are_tied_to_the_host(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    comfyui = tmp_path / "ComfyUI"
    files = {
        "comfy/__init__.py": "",
        "comfy/utils.py": "HOOK = None\ndef set_progress_bar_global_hook(hook):\n    global HOOK\n    HOOK = hook\n",
        "comfy/cli_args.py": "import argparse\nargs = argparse.Namespace(lowvram=False)\n",
        "comfy/model_management.py": (
            "flag = False\nclass InterruptProcessingException(Exception):\n    pass\n"
            "def interrupt_current_processing(value=True):\n    global flag\n    flag = value\n"
        ),
    }
    for path, text in files.items():
        (comfyui / path).parent.mkdir(parents=True, exist_ok=True)
        (comfyui / path).write_text(text)
    pack = write_pack(
        tmp_path,
        {
            "__init__.py": NODE
            + """
    def run(self):
        import comfy.utils, comfy.cli_args
        comfy.utils.HOOK(1, 2, None, node_id=None)
        return comfy.cli_args.args.lowvram
    def wait(self):
        import time, comfy.model_management
        while not comfy.model_management.flag:
            time.sleep(0.005)
        raise comfy.model_management.InterruptProcessingException()
"""
        },
    )
    worker = start_worker(spec_for(pack, comfyui=comfyui, host_facts={"cli_args": {"lowvram": True}}))
    name = worker.spec.module_name
    assert worker.call("run", request(name, "run")).result(PATIENCE_S) is True
    assert services.progressed == [(1, 2, None, "7")]
    pending = worker.call("run", request(name, "wait"))
    assert not pending.wait(0.2)
    pending.cancel()
    error = pending.exception()
    assert type(error).__qualname__ == "InterruptProcessingException"
