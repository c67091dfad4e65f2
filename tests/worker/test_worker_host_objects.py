"""ComfyUI's own modules in a worker: what uses a model of the host runs there, and `nodes` shows the host's nodes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from fakepack import RecordingServices, node_pack, request, spec_for
from nodecalls import Nodes
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.supervision import Service

#: A ComfyUI of a few lines, with the shapes of the real one.
COMFYUI = {
    "nodes.py": """
        import heavy
        MAX_RESOLUTION = 16384
        def common_ksampler(model, seed):
            return ("here", seed)
        class VAEDecode:
            FUNCTION = "decode"
            RETURN_TYPES = ("IMAGE",)
            def decode(self, vae, samples):
                return ("here", samples)
        class SaveImage:
            FUNCTION = "save_images"
            RETURN_TYPES = ()
            def save_images(self, images):
                return type(self).__name__
        NODE_CLASS_MAPPINGS = {"VAEDecode": VAEDecode, "SaveImage": SaveImage}
        NODE_DISPLAY_NAME_MAPPINGS = {"VAEDecode": "VAE Decode"}
    """,
    "heavy.py": "",
    "comfy/ldm/attention.py": "HEADS = 8",
    "comfy/sample.py": """
        def sample(model, noise, callback=None):
            return "here"
        def prepare_noise(latent, seed):
            return "here"
    """,
    "comfy/samplers.py": """
        class KSampler:
            SAMPLERS = ["euler"]
            def __init__(self, model, steps=1):
                self.model, self.steps = model, steps
        class CFGGuider:
            def __init__(self, model):
                self.model = model
    """,
    "comfy/sd.py": """
        class VAE:
            def __init__(self, sd=None):
                self.sd = sd
        def load_checkpoint_guess_config(path, output_vae=True, model_options={}):
            return "here"
    """,
    "comfy/model_management.py": """
        loaded = []
        def load_models_gpu(models, memory_required=0):
            loaded.extend(models)
        def unload_all_models():
            loaded.clear()
        def soft_empty_cache(force=False):
            pass
        def interrupt_current_processing(value=True):
            pass
    """,
    "comfy_execution/__init__.py": "",
    "comfy_execution/graph.py": "import nodes\nclass ExecutionBlocker:\n    pass\n",
    "comfy_extras/nodes_mask.py": """
        class InvertMask:
            FUNCTION = "invert"
            RETURN_TYPES = ("MASK",)
            def invert(self, mask):
                return "here"
        class ComfyNode:
            pass
        class Crop(ComfyNode):
            @classmethod
            def define_schema(cls):
                pass
            @classmethod
            def execute(cls, mask):
                return cls.__name__
    """,
}

BODY = """
def run(self, action, *args):
    return eval(action, globals(), {"args": args, "self": self})
"""
BEFORE = """
import sys
import nodes
import comfy.model_management, comfy.sample, comfy.samplers, comfy.sd
import comfy_extras.nodes_mask as masks
from comfy_execution.graph import ExecutionBlocker

def execute(text, *args):
    exec(text, globals(), {"args": args})
def error_of(action):
    try:
        return eval(action)
    except BaseException as error:
        return type(error).__name__ + ": " + str(error)
"""


class Host:
    """What a real ComfyUI's services do, over a table of its own."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[Any], dict[str, Any]]] = []
        self.classes: dict[str, Any] = {"OtherNode": OtherNode, "VAEDecode": object}
        self.display = {"OtherNode": "The Other"}

    def services(self) -> dict[str, Service]:
        return {
            "host_table_names": Service(lambda asker, table: list(self._table(table))),
            "host_table_entry": Service(self._entry),
            "host_member": Service(self._member),
            "host_call": Service(self._call),
        }

    def _table(self, table: str) -> dict[str, Any]:
        return self.classes if table == "NODE_CLASS_MAPPINGS" else self.display

    def _entry(self, asker: Any, table: str, name: str) -> list[Any]:
        entries = self._table(table)
        if name not in entries:
            return []
        value = entries[name]
        return [value, getattr(value, "__module__", ""), getattr(value, "__qualname__", "")]

    def _member(self, asker: Any, module: str, name: str) -> Any:
        if name != "VHSLoadFormats":
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return {"mp4": 1}

    def _call(self, asker: Any, module: str, qualname: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.calls.append((module, qualname, args, kwargs))
        return "there"


class OtherNode:
    """A node of another pack, in the host."""

    FUNCTION = "go"
    RETURN_TYPES = ("INT",)

    def __init__(self) -> None:
        self.went = 0

    def go(self, a: int, b: int = 0) -> tuple[int, int]:
        self.went += 1
        return a + b, self.went


class Model:
    """Something that has to stay in the host."""

    def clone(self) -> Model:
        return Model()


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    source = tmp_path / "comfyui"
    for name, text in COMFYUI.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return source


@pytest.fixture
def run(
    tmp_path: Path, comfyui: Path, host: Host, services: RecordingServices, start_worker: StartWorker
) -> Nodes:
    """``run.get("run", expression, *args)`` evaluates an expression in a pack that imports ComfyUI's modules."""
    services.more.update(host.services())
    pack = node_pack(tmp_path, BODY, BEFORE)
    return Nodes(start_worker(spec_for(pack, comfyui=comfyui)))


def test_nodes_is_not_executed_by_packs_that_only_import_it(run: Nodes) -> None:
    assert run.get("run", "(ExecutionBlocker.__name__, 'heavy' in sys.modules)") == (
        "ExecutionBlocker",
        False,
    )
    assert run.get("run", "(nodes.MAX_RESOLUTION, 'heavy' in sys.modules)") == (16384, True)


def test_looking_at_all_modules_does_not_execute_nodes(run: Nodes) -> None:
    looked = "[(getattr(m, '__file__', 0), getattr(m, '__path__', 0)) for m in list(sys.modules.values())]"
    assert run.get("run", f"bool({looked})")
    run.get("run", "__import__('importlib').import_module('nodes').__name__")
    assert run.get("run", "'heavy' in sys.modules") is False


def test_modules_of_comfyui_are_there_without_being_imported_one_by_one(run: Nodes) -> None:
    assert run.get("run", "'comfy.ldm' in sys.modules") is False
    assert run.get("run", "comfy.ldm.attention.HEADS") == 8
    assert run.get("run", "hasattr(comfy, 'nothing')") is False


def test_what_fails_while_nodes_is_executed_is_raised_where_it_was_used(run: Nodes, comfyui: Path) -> None:
    (comfyui / "heavy.py").write_text("raise RuntimeError('no memory')")
    assert run.get("run", "error_of('nodes.MAX_RESOLUTION')") == "RuntimeError: no memory"
    (comfyui / "heavy.py").write_text("")
    assert run.get("run", "nodes.MAX_RESOLUTION") == 16384


def test_a_builtin_class_is_the_local_one_and_can_be_subclassed(run: Nodes) -> None:
    run.get("run", "execute('class Mine(nodes.SaveImage):\\n  pass\\nsys.mine = Mine')")
    assert run.get("run", "sys.mine().save_images([1])") == "Mine"
    assert run.get("run", "nodes.NODE_CLASS_MAPPINGS['SaveImage'] is nodes.SaveImage") is True


def test_a_node_of_another_pack_is_found_made_and_run_in_the_host(run: Nodes) -> None:
    assert run.get("run", "nodes.NODE_CLASS_MAPPINGS['OtherNode'].FUNCTION") == "go"
    run.get("run", "setattr(self, 'other', nodes.NODE_CLASS_MAPPINGS['OtherNode']())")
    call = "getattr(self.other, nodes.NODE_CLASS_MAPPINGS['OtherNode'].FUNCTION)(**args[0])"
    assert run.get("run", call, {"a": 2, "b": 3}) == (5, 1)
    assert run.get("run", call, {"a": 2}) == (2, 2)


def test_the_table_of_nodes_reads_like_the_hosts(run: Nodes) -> None:
    table = "nodes.NODE_CLASS_MAPPINGS"
    assert run.get("run", f"list({table})") == ["OtherNode", "VAEDecode", "SaveImage"]
    assert run.get("run", f"(len({table}), 'OtherNode' in {table}, 'Nope' in {table})") == (3, True, False)
    assert run.get("run", f"({table}.get('Nope', 7), sorted({table}.copy()))") == (
        7,
        ["OtherNode", "SaveImage", "VAEDecode"],
    )
    assert run.get("run", f"error_of(\"{table}['Nope']\")") == "KeyError: 'Nope'"
    assert run.get("run", "dict(nodes.NODE_DISPLAY_NAME_MAPPINGS)") == {
        "OtherNode": "The Other",
        "VAEDecode": "VAE Decode",
    }


def test_a_node_of_the_pack_itself_is_its_own_class(run: Nodes, host: Host) -> None:
    module = run.worker.spec.module_name
    host.classes["Node"] = type("Node", (), {"__module__": module, "__qualname__": "Node"})
    assert run.get("run", "nodes.NODE_CLASS_MAPPINGS['Node'] is type(self)") is True


def test_writing_into_nodes_stays_in_the_worker_and_is_told_once(run: Nodes, host: Host) -> None:
    for name in ("X", "Y"):
        run.get("run", f"nodes.NODE_CLASS_MAPPINGS.__setitem__('{name}', dict)")
    run.get("run", "execute('nodes.VHSFormats = 1')")
    assert run.get("run", "(nodes.NODE_CLASS_MAPPINGS['X'] is dict, nodes.VHSFormats)") == (True, 1)
    assert "X" not in host.classes
    run.get("run", "nodes.NODE_CLASS_MAPPINGS.pop('OtherNode') and None")
    assert run.get("run", "'OtherNode' in nodes.NODE_CLASS_MAPPINGS") is False
    log = run.worker.spec.log_path.read_text()
    assert log.count("was changed at run time") == 1
    assert log.count("was set at run time") == log.count("nodes.VHSFormats was set") == 1


def test_what_was_set_before_nodes_was_executed_stays_set(run: Nodes) -> None:
    run.get("run", "execute('nodes.MAX_RESOLUTION = 1')")
    assert run.get("run", "'heavy' in sys.modules") is False
    assert run.get("run", "(nodes.VAEDecode.__name__, nodes.MAX_RESOLUTION)") == ("VAEDecode", 1)


def test_what_other_packs_put_into_the_hosts_nodes_is_found(run: Nodes) -> None:
    assert run.get("run", "nodes.VHSLoadFormats") == {"mp4": 1}
    assert run.get("run", "hasattr(nodes, 'Nothing')") is False


@pytest.mark.parametrize(
    ("expression", "called"),
    [
        ("nodes.VAEDecode().decode(args[0], 1)", ("nodes", "VAEDecode.decode")),
        ("nodes.VAEDecode().decode(samples=1, vae=args[0])", ("nodes", "VAEDecode.decode")),
        ("nodes.common_ksampler(args[0], 5)", ("nodes", "common_ksampler")),
        ("comfy.sample.sample(args[0], 1, callback=print)", ("comfy.sample", "sample")),
        ("comfy.samplers.KSampler(args[0], steps=3)", ("comfy.samplers", "KSampler")),
        ("comfy.samplers.CFGGuider(args[0])", ("comfy.samplers", "CFGGuider")),
        (
            "masks.InvertMask().invert([[1, {'control': args[0]}]])",
            ("comfy_extras.nodes_mask", "InvertMask.invert"),
        ),
        ("masks.Crop.execute(args[0])", ("comfy_extras.nodes_mask", "Crop.execute")),
        ("comfy.sd.load_checkpoint_guess_config('a')", ("comfy.sd", "load_checkpoint_guess_config")),
        ("comfy.sd.VAE(sd={'a': 1})", ("comfy.sd", "VAE")),
    ],
)
def test_what_uses_or_loads_a_model_of_the_host_runs_there(
    run: Nodes, host: Host, expression: str, called: tuple[str, str]
) -> None:
    model = Model()
    assert run.get("run", expression, model) == "there"
    assert host.calls[0][:2] == called
    given = [*host.calls[0][2], *host.calls[0][3].values()]
    if "args[0]" in expression and "control" not in expression:
        assert model in given


@pytest.mark.parametrize(
    "expression",
    [
        "nodes.VAEDecode().decode(dict, 1)[0]",
        "nodes.common_ksampler(dict, 5)[0]",
        "comfy.sample.sample(dict, 1)",
        "comfy.sample.prepare_noise(1, 2)",
        "comfy.samplers.KSampler(dict).model.__name__",
        "type('Mine', (comfy.samplers.CFGGuider,), {})(args[0]).__class__.__name__",
        "masks.Crop.execute(1)",
        "comfy.sd.load_checkpoint_guess_config('a', model_options={'custom_operations': dict})",
    ],
)
def test_what_concerns_objects_of_the_worker_runs_in_the_worker(
    run: Nodes, host: Host, expression: str
) -> None:
    assert run.get("run", expression, Model()) in ("here", "dict", "Mine", "Crop")
    assert not host.calls


def test_loading_onto_the_gpu_asks_each_process_for_its_own_models(run: Nodes, host: Host) -> None:
    model = Model()
    run.get("run", "comfy.model_management.load_models_gpu([args[0], dict], memory_required=5)", model)
    assert host.calls == [("comfy.model_management", "load_models_gpu", [[model]], {"memory_required": 5})]
    assert run.get("run", "comfy.model_management.loaded == [dict]") is True


def test_unloading_unloads_here_and_there(run: Nodes, host: Host) -> None:
    run.get("run", "comfy.model_management.load_models_gpu([dict])")
    run.get("run", "comfy.model_management.unload_all_models()")
    run.get("run", "comfy.model_management.soft_empty_cache(True)")
    assert [call[1:3] for call in host.calls] == [("unload_all_models", []), ("soft_empty_cache", [True])]
    assert run.get("run", "comfy.model_management.loaded") == []


def test_a_node_of_the_host_may_call_the_pack_back_while_it_waits(run: Nodes, host: Host) -> None:
    class Caller:
        FUNCTION = "go"

        def go(self) -> Any:
            nested = run.worker.call("run", request(run.worker.spec.module_name, "run", "40 + 2"))
            return nested.result(PATIENCE_S)

    host.classes["Caller"] = Caller
    assert run.get("run", "nodes.NODE_CLASS_MAPPINGS['Caller']().go()") == 42
