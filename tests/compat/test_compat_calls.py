"""`import comfy_env` in every form that public packs use, generation by generation."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakepack import write_pack
from hostimports import hooked, load_root, run_prestartup_script

from comfy_env_core.compat import ComfyEnvFinder


class RecordingBackend:
    """Writes down what packs ask for."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.installed: list[Path] = []
        self.asked_to_isolate: list[tuple[str, Path]] = []
        self.serializers: list[tuple[str, str, Path]] = []

    def install(self, directory: Path, say: Any = None) -> bool:
        self.installed.append(directory)
        return True

    def refuse_to_isolate(self, what: str, directory: Path) -> None:
        self.asked_to_isolate.append((what, directory))

    def register_serializer(
        self, type_name: str, serialize: Any, deserialize: Any, tag: str, source: Path
    ) -> None:
        self.serializers.append((type_name, tag, source))


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RecordingBackend]:
    before, path = set(sys.modules), list(sys.path)
    backend = RecordingBackend(tmp_path / "store")
    finder = ComfyEnvFinder(backend)
    finder.install()
    yield backend
    finder.remove()
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def folder_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """ComfyUI's module, with an input directory that the user put elsewhere."""
    module: Any = ModuleType("folder_paths")
    module.base_path = str(tmp_path)
    for name in ("input", "output", "temp", "user"):
        setattr(module, f"get_{name}_directory", lambda name=name: str(tmp_path / "redirected" / name))
    monkeypatch.setitem(sys.modules, "folder_paths", module)
    return module


def pack_with(tmp_path: Path, root: str, files: Mapping[str, str] | None = None) -> Path:
    return write_pack(tmp_path, {"__init__.py": textwrap.dedent(root), **(files or {})})


# --- installing


@pytest.mark.parametrize(
    "call",
    [
        "from comfy_env import install; install()",
        "import comfy_env; comfy_env.install()",
        "from comfy_env.install import install; install()",
        "from comfy_env import install as comfy_install; comfy_install(config='comfy-env.toml')",
        (
            "from comfy_env import install, IsolatedEnvManager, discover_config\n"
            "from pathlib import Path\nroot = Path(__file__).parent.absolute()\n"
            "install(config=root / 'comfy-env.toml', mode='isolated', node_dir=root)"
        ),
        (
            "from pathlib import Path\nfrom comfy_env import install\n"
            "install(node_dir=Path(__file__).parent, log_callback=print, verify=True)"
        ),
    ],
)
def test_install_means_the_pack_that_calls(tmp_path: Path, backend: RecordingBackend, call: str) -> None:
    pack = pack_with(tmp_path, call + "\n", {"comfy-env.toml": ""})
    load_root(pack)
    assert backend.installed == [pack]


def test_install_with_a_file_that_is_not_there_says_so(tmp_path: Path, backend: RecordingBackend) -> None:
    pack = pack_with(tmp_path, "from comfy_env import install\ninstall(config='comfyui_env.toml')\n")
    with pytest.raises(FileNotFoundError, match=r"install\(config='comfyui_env.toml'\).*no such file"):
        load_root(pack)


def test_a_dry_run_installs_nothing(tmp_path: Path, backend: RecordingBackend) -> None:
    assert load_root(
        pack_with(tmp_path, "from comfy_env import install\nDONE = install(dry_run=True)\n")
    ).DONE
    assert backend.installed == []


# --- prestartup scripts


def test_prestartup_script_as_packs_have_it(
    tmp_path: Path, backend: RecordingBackend, folder_paths: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """
    from pathlib import Path
    from comfy_env import setup_env, copy_files
    setup_env()
    HERE = Path(__file__).resolve().parent
    COPIED = [
        copy_files(HERE / "assets", HERE.parent.parent / "input"),
        copy_files("assets", "input/3d", "**/*"),
        copy_files("assets", "input/3d", pattern="**/*"),
        copy_files("assets", "input/3d", "*.obj", overwrite=True),
        copy_files("no_such_folder", "input"),
    ]
    """
    files = {
        "prestartup_script.py": script,
        "assets/a.obj": "1",
        "assets/b.png": "2",
        "assets/deep/c.obj": "3",
    }
    module = run_prestartup_script(pack_with(tmp_path, "", files))
    assert module.COPIED == [2, 3, 0, 1, 0]
    assert (tmp_path / "input" / "a.obj").read_text() == "1"
    assert (tmp_path / "redirected" / "input" / "3d" / "deep" / "c.obj").read_text() == "3"
    assert capsys.readouterr() == ("", ""), "setup_env says nothing"


# --- nodes

MIXED = {
    "nodes/main/__init__.py": "NODE_CLASS_MAPPINGS = {'A': int}\nNODE_DISPLAY_NAME_MAPPINGS = {'A': 'An A'}\n",
    "nodes/cgal/__init__.py": "raise RuntimeError('must not run in the host')\n",
    "nodes/cgal/comfy-env.toml": "",
    "nodes/_private/__init__.py": "raise RuntimeError('private')\n",
    "nodes/no_package/readme.txt": "",
}
REGISTER = """
from comfy_env import register_nodes
NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS = register_nodes()
"""


def test_register_nodes_merges_isolated_and_other_packages(tmp_path: Path, backend: RecordingBackend) -> None:
    pack = pack_with(tmp_path, REGISTER, MIXED)

    class Provider:
        def provide(self, module: Any, location: Path) -> None:
            module.NODE_CLASS_MAPPINGS, module.NODE_DISPLAY_NAME_MAPPINGS = {"B": str}, {"B": "A B"}

    with hooked(pack / "nodes" / "cgal", provider=Provider()):
        root = load_root(pack)
    assert {"A": int, "B": str} == root.NODE_CLASS_MAPPINGS
    assert root.NODE_DISPLAY_NAME_MAPPINGS == {"A": "An A", "B": "A B"}


def test_register_nodes_takes_the_folders_own_mappings_first(
    tmp_path: Path, backend: RecordingBackend
) -> None:
    own = {"nodes/__init__.py": "NODE_CLASS_MAPPINGS = {'Own': int}\n"}
    root = load_root(pack_with(tmp_path, REGISTER, {**MIXED, **own}))
    assert {"Own": int} == root.NODE_CLASS_MAPPINGS


def test_register_nodes_of_a_folder_isolated_as_a_whole_looks_no_further(
    tmp_path: Path, backend: RecordingBackend
) -> None:
    """Its environment is being built, so it has no nodes yet; those of packages in it are not ours to import."""
    files = {
        "nodes/comfy-env.toml": "",
        "nodes/__init__.py": "",
        "nodes/x/__init__.py": "raise RuntimeError('ran')\n",
    }
    pack = pack_with(tmp_path, REGISTER, files)
    with hooked(pack / "nodes"):
        assert load_root(pack).NODE_CLASS_MAPPINGS == {}


def test_register_nodes_by_another_folder_name(tmp_path: Path, backend: RecordingBackend) -> None:
    root = 'from comfy_env import register_nodes\nC, N = register_nodes(nodes_package="my_nodes")\n'
    files = {"my_nodes/one/__init__.py": "NODE_CLASS_MAPPINGS = {'One': int}\n"}
    assert {"One": int} == load_root(pack_with(tmp_path, root, files)).C


def test_register_nodes_takes_v3_nodes_of_an_entrypoint(tmp_path: Path, backend: RecordingBackend) -> None:
    v3 = """
    from types import SimpleNamespace
    class Node:
        @classmethod
        def GET_SCHEMA(cls):
            return SimpleNamespace(node_id="V3Node")
    class Extension:
        async def get_node_list(self):
            return [Node]
    async def comfy_entrypoint():
        return Extension()
    """
    root = load_root(pack_with(tmp_path, REGISTER, {"nodes/v3/__init__.py": v3}))
    assert list(root.NODE_CLASS_MAPPINGS) == ["V3Node"]


def test_one_package_that_fails_is_told_and_costs_only_its_own_nodes(
    tmp_path: Path, backend: RecordingBackend, caplog: pytest.LogCaptureFixture
) -> None:
    failing = {"nodes/broken/__init__.py": "import no_such_library\n"}
    files = {"nodes/main/__init__.py": MIXED["nodes/main/__init__.py"], **failing}
    assert list(load_root(pack_with(tmp_path, REGISTER, files)).NODE_CLASS_MAPPINGS) == ["A"]
    assert (
        "nodes.broken could not be imported: ModuleNotFoundError: No module named 'no_such_library'"
        in caplog.text
    )
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_root(write_pack(tmp_path, {"__init__.py": REGISTER, **failing}, name="all-broken"))


def test_register_nodes_without_a_folder_says_so(
    tmp_path: Path, backend: RecordingBackend, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_root(pack_with(tmp_path, REGISTER)).NODE_CLASS_MAPPINGS == {}
    assert "register_nodes found no 'nodes' there" in caplog.text


# --- earlier generations


def test_wrapping_calls_leave_mappings_as_they_are(tmp_path: Path, backend: RecordingBackend) -> None:
    root = """
    from pathlib import Path
    from comfy_env import enable_isolation, setup_isolated_imports, wrap_isolated_nodes, wrap_nodes
    setup_isolated_imports(__file__)
    NODE_CLASS_MAPPINGS = {}
    NODE_CLASS_MAPPINGS.update(wrap_isolated_nodes({"A": int}, Path(__file__).parent / "nodes"))
    enable_isolation(NODE_CLASS_MAPPINGS)
    wrap_nodes()
    """
    pack = pack_with(tmp_path, root)
    assert {"A": int} == load_root(pack).NODE_CLASS_MAPPINGS
    assert backend.asked_to_isolate == [("wrap_isolated_nodes()", pack / "nodes")]


def test_the_decorator_leaves_classes_as_they_are(tmp_path: Path, backend: RecordingBackend) -> None:
    root = """
    from comfy_env import isolated

    @isolated(env="sam3dbody", import_paths=[".", "..", "../.."])
    class Node:
        FUNCTION = "run"

    @isolated
    class Other:
        pass
    """
    pack = pack_with(tmp_path, root)
    module = load_root(pack)
    assert module.Node.FUNCTION == "run" and module.Other.__name__ == "Other"
    assert backend.asked_to_isolate == [("@isolated", pack)] * 2


@pytest.mark.parametrize("module", ["comfy_env", "comfy_env.isolation.workers._ipc_shared"])
def test_register_serializer_in_both_spellings(
    tmp_path: Path, backend: RecordingBackend, module: str
) -> None:
    root = f"from {module} import register_serializer\nregister_serializer('Trimesh', str, tag='trimesh.Trimesh')\n"
    pack = pack_with(tmp_path, root)
    load_root(pack)
    assert backend.serializers == [("Trimesh", "trimesh.Trimesh", pack)]


def test_input_files_lists_what_is_there(
    tmp_path: Path, backend: RecordingBackend, folder_paths: ModuleType
) -> None:
    from comfy_env import input_files  # type: ignore[import-not-found]  # served by the finder

    base = tmp_path / "redirected" / "input"
    assert input_files("3d", placeholder="none") == ["none"] and input_files("3d") == []
    for name in ("3d/deep/a.OBJ", "3d/b.txt", "c.obj"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text("")
    both = [{"dir": "3d", "recursive": True, "rel_to_input": True}, {"dir": ""}]
    assert input_files(both, exts=[".obj"]) == ["3d/deep/a.OBJ", "c.obj"]
    assert input_files("3d") == ["b.txt"]


# --- internals


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("from comfy_env import SubprocessWorker", "comfy-env manager starts and ends the processes"),
        ("from comfy_env import VenvWorker", "comfy-env manager starts and ends the processes"),
        ("from comfy_env.workers import get_worker, TorchMPWorker", "starts and ends the processes"),
        ("from comfy_env.isolation.wrap import _remove_worker", "starts and ends the processes"),
        ("from comfy_env import get_wheel_url", r"list the package under \[cuda\]"),
        ("from comfy_env.packages.cuda_wheels import CUDA_TORCH_MAP, get_wheel_url", r"under \[cuda\]"),
        ("from comfy_env.detection import get_recommended_cuda_version", "torch.version.cuda"),
        ("from comfy_env.environment.cache import get_local_env_path", "builds every environment by itself"),
        ("from comfy_env.config import load_config", "tomllib"),
        ("import comfy_env.memory_manager", "has no 'memory_manager'"),
        ("from comfy_env import never_there", "has no 'never_there'"),
    ],
)
def test_internals_are_refused_by_an_import_error_that_says_what_to_do(
    backend: RecordingBackend, statement: str, advice: str
) -> None:
    with pytest.raises(ImportError, match=advice):
        exec(statement, {})


def test_an_internal_that_is_asked_for_as_an_attribute_is_simply_not_there(backend: RecordingBackend) -> None:
    module = importlib.import_module("comfy_env")
    assert not hasattr(module, "SubprocessWorker")
    with pytest.raises(AttributeError, match="comfy-env manager starts and ends the processes"):
        _ = module.SubprocessWorker


def test_names_that_installers_import_fail_only_when_called(backend: RecordingBackend) -> None:
    module = importlib.import_module("comfy_env")
    with pytest.raises(RuntimeError, match="IsolatedEnvManager cannot be used"):
        module.IsolatedEnvManager()


def test_internals_with_an_equivalent_work(
    tmp_path: Path, backend: RecordingBackend, folder_paths: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = importlib.import_module("comfy_env.environment.cache")
    assert cache.get_workspace_dir() == cache.get_workspace_dir(None) == backend.store
    top = importlib.import_module("comfy_env")
    assert top.get_comfyui_dir() == tmp_path
    assert top.CONFIG_FILE_NAME == "comfy-env.toml" and top.__version__.startswith("0.4")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    blender = tmp_path / "tools" / "blender-4" / "blender"
    assert importlib.import_module("comfy_env.tools").find_blender(tmp_path / "tools") is None
    blender.parent.mkdir(parents=True)
    blender.write_text("#!/bin/sh\n")
    blender.chmod(0o755)
    assert importlib.import_module("comfy_env.tools").find_blender(tmp_path / "tools") == blender


def test_only_the_five_functions_and_input_files_are_promised(backend: RecordingBackend) -> None:
    assert set(importlib.import_module("comfy_env").__all__) == {
        "install", "setup_env", "register_nodes", "copy_files", "register_serializer", "input_files",
    }  # fmt: skip


def test_one_that_was_imported_before_is_replaced(tmp_path: Path) -> None:
    real = ModuleType("comfy_env")
    sys.modules["comfy_env"] = sys.modules["comfy_env.isolation"] = real
    finder = ComfyEnvFinder(RecordingBackend(tmp_path))
    try:
        assert finder.install()
        assert importlib.import_module("comfy_env") is not real
        assert "comfy_env.isolation" not in sys.modules
    finally:
        finder.remove()
