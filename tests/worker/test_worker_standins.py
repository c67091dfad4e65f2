"""What a pack can have of ComfyUI's modules in an environment without ComfyUI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakepack import RecordingServices, node_pack, spec_for
from nodecalls import Nodes
from workers import StartWorker

from comfy_env_core.discovery.host_names import ALL, LEAN_NAMES
from comfy_env_core.supervision import Service

BODY = """
def run(self, action, *args):
    return eval(action, globals(), {"args": args})
"""
BEFORE = """
import sys
import comfy, nodes, comfy_execution.graph
from comfy.comfy_types import IO, ComfyNodeABC
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder, is_link
from comfy_execution.utils import get_executing_context
import node_helpers

class Typed(ComfyNodeABC):
    pass
def graph():
    first, second = GraphBuilder(), GraphBuilder()
    noise = first.node("Noise", seed=3)
    first.node("Save", "save", images=noise.out(0))
    second.node("Save")
    return first.finalize(), second.finalize()
def error_of(action):
    try:
        return eval(action)
    except BaseException as error:
        return type(error).__name__ + ": " + str(error)
"""


class Decode:
    """A node of ComfyUI, in the host."""

    FUNCTION = "decode"

    def decode(self, vae: Any, samples: Any) -> tuple[Any]:
        return (vae.decode(samples),)


class Vae:
    def decode(self, samples: int) -> int:
        return samples * 2


MEMBERS = {
    "nodes": {"MAX_RESOLUTION": 16384, "VAEDecode": Decode, "__all__": ["MAX_RESOLUTION"]},
    "comfy.samplers": {"SAMPLER_NAMES": ["euler"]},
    "comfy.model_management": {"get_free_memory": lambda: 12.5, "vram_state": 3},
}


@pytest.fixture
def run(tmp_path: Path, services: RecordingServices, start_worker: StartWorker) -> Nodes:
    def member(asker: Any, module: str, name: str) -> Any:
        if name not in MEMBERS[module]:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return MEMBERS[module][name]

    services.more["host_member"] = Service(member)
    services.more["host_table_names"] = Service(lambda asker, table: ["Other"])
    pack = node_pack(tmp_path, BODY, BEFORE)
    return Nodes(start_worker(spec_for(pack)))


def test_constants_of_the_host_come_by_value(run: Nodes) -> None:
    assert run.get("run", "nodes.MAX_RESOLUTION") == 16384
    assert run.get("run", "comfy.samplers.SAMPLER_NAMES") == ["euler"]
    assert run.get("run", "comfy.model_management.vram_state") == 3
    assert run.get("run", "list(nodes.NODE_CLASS_MAPPINGS)") == ["Other"]


def test_a_node_of_the_host_runs_there(run: Nodes) -> None:
    assert run.get("run", "nodes.VAEDecode().decode(args[0], samples=21)", Vae()) == (42,)
    assert run.get("run", "comfy.model_management.get_free_memory()") == 12.5


def test_star_import_brings_the_hosts_names(run: Nodes) -> None:
    assert run.get("run", "exec('from nodes import *; FOUND = MAX_RESOLUTION', globals()) or FOUND") == 16384


def test_what_neither_stand_in_nor_host_has_is_no_attribute(run: Nodes) -> None:
    assert (
        run.get("run", "error_of('nodes.Nope')") == "AttributeError: module 'nodes' has no attribute 'Nope'"
    )
    assert run.get("run", "hasattr(nodes, '__path__')") is False
    assert 'host = "comfyui"' in run.get("run", "error_of('comfy.nope')")


def test_graphs_have_the_ids_that_comfyui_gives_them(run: Nodes) -> None:
    first, second = run.get("run", "graph()")
    assert first == {
        "7.0.0.1": {"class_type": "Noise", "inputs": {"seed": 3}},
        "7.0.0.save": {"class_type": "Save", "inputs": {"images": ["7.0.0.1", 0]}},
    }
    assert list(second) == ["7.0.1.1"]
    assert list(run.get("run", "graph()")[0]) == ["7.0.0.1", "7.0.0.save"], "each call counts anew"


def test_outputs_are_replaced_and_nodes_removed_as_in_comfyui(run: Nodes) -> None:
    made = "[g for g in [GraphBuilder('p.')] if g.node('A', 'a') and g.node('B', 'b', x=['p.a', 0], y=['p.a', 1])][0]"
    replaced = (
        f"[g.replace_node_output('a', 0, 5) or g.replace_node_output('a', 1, None) or g for g in [{made}]][0]"
    )
    assert run.get("run", f"{replaced}.finalize()['p.b']['inputs']") == {"x": 5}
    assert run.get("run", f"[g.remove_node('a') or list(g.nodes) for g in [{made}]][0]") == ["p.b"]
    assert run.get("run", "(is_link(['a', 0]), is_link(['a']), is_link(('a', 0)), is_link([0, 'a']))") == (
        True,
        False,
        False,
        False,
    )


def test_the_running_node_is_known(run: Nodes) -> None:
    assert run.get("run", "tuple(get_executing_context())") == ("prompt", "7", None)


def test_a_blocker_reaches_the_host_by_the_name_it_has_there(run: Nodes) -> None:
    blocker = run.get("run", "ExecutionBlocker('stop')")
    assert type(blocker).__module__ == "comfy_execution.graph_utils" and blocker.message == "stop"
    assert run.get("run", "comfy_execution.graph.ExecutionBlocker is ExecutionBlocker")


def test_types_of_sockets_are_the_texts_they_stand_for(run: Nodes) -> None:
    assert run.get("run", "[str(IO.IMAGE), IO.ANY, IO.NUMBER.value]") == ["IMAGE", "*", "FLOAT,INT"]
    assert run.get(
        "run", "(IO.IMAGE == 'IMAGE', IO.IMAGE != 'MASK', IO.ANY != 'MASK', IO.NUMBER != 'INT')"
    ) == (
        True,
        True,
        False,
        False,
    )
    assert run.get("run", "(hash(IO.IMAGE) == hash('IMAGE'), Typed().__class__.__name__)") == (True, "Typed")


def test_conditioning_is_changed_in_a_copy(run: Nodes) -> None:
    given = [[1, {"a": [1]}]]
    call = "(node_helpers.conditioning_set_values(args[0], {'a': [2], 'b': 3}, append=True), args[0])"
    assert run.get("run", call, given) == ([[1, {"a": [1, 2], "b": 3}]], [[1, {"a": [1]}]])


def test_no_library_is_imported_for_any_of_it(run: Nodes) -> None:
    run.get("run", "nodes.MAX_RESOLUTION")
    assert (
        run.get("run", "[name for name in ('torch', 'numpy', 'asyncio', 'inspect') if name in sys.modules]")
        == []
    )


@pytest.mark.parametrize("module", sorted(LEAN_NAMES))
def test_every_module_that_discovery_relies_on_can_be_imported(run: Nodes, module: str) -> None:
    names = sorted(name for name in LEAN_NAMES[module] if name != ALL)
    own = module.startswith(("comfy_execution", "comfy.comfy_types", "node_helpers"))
    found = run.get(
        "run",
        f"[getattr(__import__('importlib').import_module('{module}'), n, None) is None for n in args[0]]",
        names if own else [],
    )
    assert not any(found)
