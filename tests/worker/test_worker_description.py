"""What a worker says of node classes that do not have their attributes and functions where one would look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakepack import request, spec_for, write_pack
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.wire import thaw


def described(tmp_path: Path, start_worker: StartWorker, source: str) -> tuple[Any, dict[str, Any]]:
    """A worker, and what it says of the node classes of a pack of that source, by the names of the classes."""
    worker = start_worker(spec_for(write_pack(tmp_path, {"__init__.py": source})))
    description = worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)
    indices = description["exports"]["NODE_CLASS_MAPPINGS"]["classes"]
    return worker, {name: description["classes"][index] for name, index in indices.items()}


def test_attributes_are_those_that_comfyui_would_see(tmp_path: Path, start_worker: StartWorker) -> None:
    _, nodes = described(
        tmp_path,
        start_worker,
        """
        class Meta(type):
            @property
            def CATEGORY(cls):
                return "computed"
            def __getattr__(cls, name):
                if name == "DESCRIPTION":
                    return "found"
                raise AttributeError(name)
            def helper(cls):
                return None

        class OnClass:
            def __get__(self, instance, owner):
                return (owner.__name__,)

        class Node(metaclass=Meta):
            RETURN_TYPES = OnClass()
            @property
            def FUNCTION(self):
                return "run"
            @property
            def broken(self):
                raise RuntimeError
            def run(self):
                return (1,)

        class Child(Node):
            EXPERIMENTAL = True

        NODE_CLASS_MAPPINGS = {"Node": Node, "Child": Child}
        """,
    )
    read = {
        name: {key: thaw(value) for key, value in node["attributes"].items()} for name, node in nodes.items()
    }
    assert read["Node"] == {"CATEGORY": "computed", "DESCRIPTION": "found", "RETURN_TYPES": ("Node",)}
    assert read["Child"] == {**read["Node"], "RETURN_TYPES": ("Child",), "EXPERIMENTAL": True}
    functions = nodes["Child"]["functions"]
    assert functions.keys() == {"FUNCTION", "broken", "run"}
    assert (functions["FUNCTION"]["kind"], functions["run"]["kind"]) == ("property", "instance")


def test_stack_shows_comfyuis_own_functions_to_inputs_that_look(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    _, nodes = described(
        tmp_path,
        start_worker,
        """
        import inspect, sys

        class Node:
            FUNCTION = "run"
            RETURN_TYPES = ()
            @classmethod
            def INPUT_TYPES(cls):
                callers = [frame.function for frame in inspect.stack()[1:3]]
                return {"required": {name: ("INT",) for name in callers}}

        class Incurious(Node):
            @classmethod
            def INPUT_TYPES(cls):
                return {"required": {"x": ("INT",)}}

        class Vain(Node):
            @classmethod
            def INPUT_TYPES(cls):
                return {"required": {sys._getframe(0).f_code.co_name: ("INT",)}}

        NODE_CLASS_MAPPINGS = {"Node": Node, "Incurious": Incurious, "Vain": Vain}
        """,
    )
    assert list(nodes["Node"]["input_types"]["required"]) == ["node_info", "get_object_info"]
    by_caller = nodes["Node"]["input_types_by_caller"]
    assert list(by_caller["get_input_info"]["required"]) == ["get_input_info"], "one such calls another"
    assert list(by_caller["get_input_data"]["required"]) == ["get_input_data", "execute"]
    assert nodes["Incurious"]["input_types_by_caller"] == nodes["Vain"]["input_types_by_caller"] == {}
    assert list(nodes["Vain"]["input_types"]["required"]) == ["INPUT_TYPES"]


def test_inputs_can_be_asked_for_again(tmp_path: Path, start_worker: StartWorker) -> None:
    worker, nodes = described(
        tmp_path,
        start_worker,
        """
        import pathlib

        class Node:
            FUNCTION = "run"
            RETURN_TYPES = ()
            @classmethod
            def INPUT_TYPES(cls):
                names = pathlib.Path(__file__).with_name("names").read_text()
                return {"required": {"name": (names.split(),)}}

        NODE_CLASS_MAPPINGS = {"Node": Node}
        """,
    )
    node = nodes["Node"]
    assert node["input_types"] is None and node["input_types_error"].startswith("FileNotFoundError")
    (worker.spec.pack_dir / "names").write_text("a b")
    (again,) = worker.call("describe_inputs", [[[node["module"], node["qualname"]]]]).result(PATIENCE_S)
    assert thaw(again["input_types"]) == {"required": {"name": (["a", "b"],)}}
    assert again["input_types_error"] is None


def test_class_is_found_by_where_it_is_exported_in_whatever_order_modules_are_imported(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = write_pack(
        tmp_path,
        {
            "__init__.py": "from . import one, two\nNODE_CLASS_MAPPINGS = {**one.NODES, **two.NODES}\n",
            "factory.py": """
                def make(number):
                    class Node:
                        FUNCTION = "run"
                        RETURN_TYPES = ("INT",)
                        def run(self):
                            return number
                    return Node
            """,
            "one.py": 'from .factory import make\nNODES = {"one": make(1)}\n',
            "two.py": 'from .factory import make\nNODES = {"two": make(2)}\nKind = make(3)\n',
        },
    )
    spec = spec_for(pack)
    name = f"{spec.module_name}.two"
    first = start_worker(spec)
    kinds = first.call("describe", [name]).result(PATIENCE_S)["classes"]
    assert [kind["qualname"] for kind in kinds] == ["NODES[two]", "Kind"]
    fresh = start_worker(spec)
    for kind, number in zip(kinds, (2, 3), strict=True):
        call = request(kind["module"], "run", qualname=kind["qualname"], instance=kind["qualname"])
        assert fresh.call("run", call).result(PATIENCE_S) == number
