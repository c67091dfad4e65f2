"""`folder_paths` in a worker is ComfyUI's own: what a pack changes is changed there, what others change is seen."""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakepack import RecordingServices, node_pack, request, spec_for
from patience import PATIENCE_S, eventually
from workers import StartWorker

from comfy_env_core.supervision import Service, Worker

#: As far as these tests need ComfyUI's.
HOST_MODULE = """
import os
base_path = "/comfyui"
models_dir = "/comfyui/models"
output_directory = "/comfyui/output"
supported_pt_extensions = {".pt", ".safetensors"}
folder_names_and_paths = {
    "loras": ([models_dir + "/loras"], supported_pt_extensions),
    "vae": ([models_dir + "/vae"], supported_pt_extensions),
    "configs": ([models_dir + "/configs"], [".yaml"]),
}
filename_list_cache = {"loras": (["a.pt"], {models_dir + "/loras": 1.5}, 2.5)}

class CacheHelper:
    def __init__(self):
        self.active = False
    def __enter__(self):
        self.active = True
        return self
    def __exit__(self, *error):
        self.active = False

cache_helper = CacheHelper()

def get_output_directory():
    return output_directory

def set_output_directory(path):
    global output_directory
    output_directory = path

def add_model_folder_path(name, path, is_default=False):
    if name in folder_names_and_paths:
        folder_names_and_paths[name][0].append(path)
    else:
        folder_names_and_paths[name] = ([path], set())

def get_folder_paths(name):
    return folder_names_and_paths[name][0][:]

def get_filename_list_(name):
    return [name + ".pt"], {}, 1.0
"""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """ComfyUI's module `folder_paths`."""
    module = ModuleType("folder_paths")
    exec(textwrap.dedent(HOST_MODULE), vars(module))
    monkeypatch.setitem(sys.modules, "folder_paths", module)
    name = "comfy_env_core.comfyui.services.folders"
    before = sys.modules.pop(name, None)
    yield module
    sys.modules.pop(name, None)
    if before is not None:
        sys.modules[name] = before


@pytest.fixture
def folders(host: ModuleType, services: RecordingServices) -> Any:
    """Our side's service over it."""
    made = importlib.import_module("comfy_env_core.comfyui.services.folders").Folders()
    services.more["folder_paths"] = Service(made.answer)
    services.more["folder_paths_change"] = Service(made.change)
    return made


@pytest.fixture
def worker(folders: Any, tmp_path: Path, start_worker: StartWorker) -> Any:
    """`worker(body, before)` starts one of a node with that body; `before` runs when it is imported."""

    def start(body: str, before: str = "") -> Worker:
        facts = {"folder_paths": {"base_path": "/comfyui", "models_dir": "/comfyui/models"}}
        pack = node_pack(tmp_path, body, "import folder_paths, json, os\n" + textwrap.dedent(before))
        return start_worker(spec_for(pack, host_facts=facts))

    return start


def run(worker: Worker, function: str = "run", *args: Any) -> Any:
    return worker.call("run", request(worker.spec.module_name, function, *args)).result(PATIENCE_S)


#: name -> what a pack does, and what is true in ComfyUI then.
CHANGES = {
    "a new type": ("names['mesh'] = (['/m'], {'.obj'})", "names['mesh'] == (['/m'], {'.obj'})"),
    "append": ("names['loras'][0].append('/m')", "names['loras'][0][-1] == '/m'"),
    "insert at the front": ("names['loras'][0].insert(0, '/m')", "names['loras'][0][0] == '/m'"),
    "in place": ("paths = names['loras'][0]; paths += ['/m']", "names['loras'][0][-1] == '/m'"),
    "extend from a generator": (
        "names['loras'][0].extend(p for p in ['/m', '/n'])",
        "names['loras'][0][1:] == ['/m', '/n']",
    ),
    "replace a path": ("names['loras'][0][0] = '/m'", "names['loras'][0] == ['/m']"),
    "an extension": ("names['loras'][1].add('.gguf')", "'.gguf' in folder_paths.supported_pt_extensions"),
    "extensions of all": (
        "folder_paths.supported_pt_extensions.update(['.gguf'])",
        "'.gguf' in names['vae'][1]",
    ),
    "extensions as a list": (
        "names['configs'][1].append('.yml')",
        "names['configs'][1] == ['.yaml', '.yml']",
    ),
    "setdefault": (
        "names.setdefault('mesh', ([], set()))[0].append('/m')",
        "names['mesh'] == (['/m'], set())",
    ),
    "setdefault of a known one": (
        "names.setdefault('loras', ([], set()))[0].append('/m')",
        "names['loras'][0][-1] == '/m'",
    ),
    "delete": ("del names['vae']", "'vae' not in names"),
    "pop": ("assert names.pop('vae')[0] == ['/comfyui/models/vae']", "'vae' not in names"),
    "pop of nothing": ("assert names.pop('none', 5) == 5", "len(names) == 3"),
    "update": ("names.update(mesh=(['/m'], set()))", "names['mesh'] == (['/m'], set())"),
    "a path of pathlib": (
        "import pathlib; names['mesh'] = ([pathlib.Path('/m')], set())",
        "names['mesh'][0] == ['/m']",
    ),
    "a list that two share": (
        "names['gguf'] = (names['loras'][0], {'.gguf'}); names['loras'][0].append('/m')",
        "names['gguf'][0] == names['loras'][0] == ['/comfyui/models/loras', '/m']",
    ),
    "by function": ("folder_paths.add_model_folder_path('mesh', '/m')", "names['mesh'][0] == ['/m']"),
    "a directory": ("folder_paths.output_directory = '/o'", "folder_paths.get_output_directory() == '/o'"),
    "a directory by function": (
        "folder_paths.set_output_directory('/o')",
        "folder_paths.output_directory == '/o'",
    ),
    "an attribute of its own": ("folder_paths.mesh_dir = '/m'", "folder_paths.mesh_dir == '/m'"),
    "the cache": ("folder_paths.filename_list_cache.pop('loras')", "not folder_paths.filename_list_cache"),
    "a new cache": ("folder_paths.filename_list_cache = {}", "folder_paths.filename_list_cache == {}"),
    "clear": ("names.clear()", "names == {}"),
}


def test_what_a_pack_changes_is_changed_in_comfyui_and_seen_by_the_pack(
    worker: Any, host: ModuleType
) -> None:
    bodies = [
        f"    def do_{number}():\n        names = folder_paths.folder_names_and_paths\n        {change}\n"
        f"        assert {check}, {name!r}\n"
        for number, (name, (change, check)) in enumerate(CHANGES.items())
    ]
    started = worker(
        "def run(self, number):\n    getattr(Changes, f'do_{number}')()\n",
        "class Changes:\n" + "".join(bodies),
    )
    for number, (name, (_, check)) in enumerate(CHANGES.items()):
        exec(textwrap.dedent(HOST_MODULE), vars(host))
        run(started, "run", number)
        facts = {"folder_paths": host, "names": vars(host)["folder_names_and_paths"]}
        assert eval(check, facts), name


def test_what_others_add_is_seen_by_who_holds_the_table(worker: Any, host: ModuleType) -> None:
    started = worker(
        """
        def run(self):
            return sorted(NAMES), list(NAMES["loras"][0]), list(PATHS), "mesh" in NAMES, json.dumps(NAMES["loras"][0])
        """,
        "NAMES = folder_paths.folder_names_and_paths\nPATHS = NAMES['loras'][0]\n",
    )
    run(started)
    host.folder_names_and_paths["mesh"] = (["/m"], set())  # type: ignore[attr-defined]
    host.folder_names_and_paths["loras"][0].insert(0, "/first")  # type: ignore[attr-defined]
    names, paths, held, has_mesh, text = run(started)
    assert names == ["configs", "loras", "mesh", "vae"] and has_mesh
    assert paths == held == json.loads(text) == ["/first", "/comfyui/models/loras"]


def test_functions_and_members_answer_as_comfyuis(worker: Any) -> None:
    started = worker(
        """
        def run(self):
            with folder_paths.cache_helper as helper:
                active = folder_paths.cache_helper.active
            return (
                active, folder_paths.cache_helper.active, folder_paths.get_filename_list_("x"), folder_paths.models_dir,
                isinstance(folder_paths.folder_names_and_paths, dict), hasattr(folder_paths, "nonsense"),
                folder_paths.filename_list_cache["loras"][2],
            )
        """
    )
    assert run(started) == (True, False, (["x.pt"], {}, 1.0), "/comfyui/models", True, False, 2.5)


def test_a_function_that_a_pack_replaces_is_its_own_affair(worker: Any, host: ModuleType) -> None:
    started = worker(
        """
        def run(self):
            folder_paths.get_output_directory = lambda: "mine"
            return folder_paths.get_output_directory()
        """
    )
    assert run(started) == "mine"
    assert host.get_output_directory() == "/comfyui/output"


def test_what_a_pack_registers_at_import_is_done_once_and_known_without_a_worker(
    worker: Any, folders: Any, host: ModuleType
) -> None:
    started = worker(
        "def run(self):\n    return folder_paths.get_folder_paths('loras')\n",
        """
        folder_paths.add_model_folder_path("loras", os.path.join(folder_paths.models_dir, "more"))
        folder_paths.folder_names_and_paths["mesh"] = (["/m"], folder_paths.supported_pt_extensions)
        """,
    )
    described = started.call("describe", [started.spec.module_name]).result(PATIENCE_S)
    expected = ["/comfyui/models/loras", "/comfyui/models/more"]
    assert host.folder_names_and_paths["loras"][0] == expected  # type: ignore[attr-defined]
    started.stop()
    assert eventually(lambda: not started.is_alive)
    started.start()
    assert run(started) == expected

    exec(textwrap.dedent(HOST_MODULE), vars(host))
    host.models_dir = "/elsewhere"  # type: ignore[attr-defined]
    later = importlib.import_module("comfy_env_core.comfyui.services.folders").Folders()
    changes = json.loads(json.dumps(described["folder_changes"]))
    for _ in range(2):
        later.repeat("fake-pack", changes)
    names = host.folder_names_and_paths  # type: ignore[attr-defined]
    assert names["loras"][0] == ["/comfyui/models/loras", "/elsewhere/more"]
    assert names["mesh"][0] == ["/m"] and names["mesh"][1] is host.supported_pt_extensions  # type: ignore[attr-defined]


def test_a_change_that_cannot_be_repeated_is_told_and_the_others_are_done(
    folders: Any, host: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    folders.repeat(
        "pack",
        [
            [["folder_names_and_paths", "gone", 0], "append", ["/m"], {}],
            [["folder_names_and_paths", "loras", 0], "append", ["/m"], {}],
        ],
    )
    assert "'gone'" in caplog.text and "cannot be done to folder_paths any more" in caplog.text
    assert host.folder_names_and_paths["loras"][0][-1] == "/m"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "change",
    [
        [["folder_names_and_paths"], "__class__", [], {}],
        [["cache_helper"], "__setattr__", ["active", True], {}],
        [[], "get_output_directory", [], {}],
        [[], "__setattr__", ["get_output_directory", 5], {}],
        [[], "__setattr__", ["__dict__", {"$dict": []}], {}],
        [["__builtins__"], "clear", [], {}],
    ],
)
def test_a_worker_changes_nothing_but_plain_members(folders: Any, change: Any) -> None:
    with pytest.raises(AttributeError):
        folders.change(None, change, False)


def test_an_object_cannot_be_put_into_comfyuis_table(worker: Any) -> None:
    started = worker("def run(self):\n    folder_paths.folder_names_and_paths['x'] = object()\n")
    with pytest.raises(TypeError, match="A object cannot be put into ComfyUI's folder_paths"):
        run(started)
