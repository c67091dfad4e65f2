"""The ways in which packs import: whatever lies in an isolated directory is never run by ComfyUI's Python."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import pkgutil
import runpy
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fakepack import write_pack
from hostimports import Recorder, hooked, load_root, run_prestartup_script

MUST_NOT_RUN = "raise RuntimeError('must not run in the host')\n"
MIXED = {
    "__init__.py": "RAN = True\n",
    "nodes/__init__.py": "",
    "nodes/mesh/__init__.py": MUST_NOT_RUN,
    "nodes/mesh/helper_of_mesh.py": MUST_NOT_RUN,
    "nodes/mesh/plain/deep.py": MUST_NOT_RUN,
}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A mixed pack: `nodes/mesh` is isolated, all else runs in the host."""
    return write_pack(tmp_path, MIXED, name="my.pack")


@pytest.fixture
def mesh(pack: Path) -> Path:
    return pack / "nodes" / "mesh"


@pytest.fixture
def recorder(mesh: Path) -> Iterator[Recorder]:
    with hooked(mesh) as recorder:
        yield recorder


def add(pack: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (pack / name).parent.mkdir(parents=True, exist_ok=True)
        (pack / name).write_text(textwrap.dedent(text))


# --- by location ----------------------------------------------------------------------------------------------------


def test_a_loop_with_a_function_taken_before_our_hooks_is_turned_away_too(pack: Path, mesh: Path) -> None:
    taken_before = importlib.util.spec_from_file_location
    with hooked(mesh) as recorder:
        for name in ("__init__", "helper_of_mesh", "plain/deep"):
            spec = taken_before(name, mesh / f"{name}.py")
            assert spec is not None and spec.loader is not None
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert recorder.locations == [
        mesh / "__init__.py",
        mesh / "helper_of_mesh.py",
        mesh / "plain" / "deep.py",
    ]


@pytest.mark.parametrize("written", ["{}/../mesh/helper_of_mesh.py", "{}//helper_of_mesh.py"])
def test_a_location_may_be_written_in_any_way(mesh: Path, recorder: Recorder, written: str) -> None:
    spec = importlib.util.spec_from_file_location("any_name", written.format(mesh))
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert recorder.locations == [mesh / "helper_of_mesh.py"]


def test_a_loader_named_by_the_pack_is_turned_away_too(mesh: Path, recorder: Recorder) -> None:
    location = str(mesh / "helper_of_mesh.py")
    loader = importlib.machinery.SourceFileLoader("explicit", location)
    spec = importlib.util.spec_from_file_location("explicit", location, loader=loader)
    assert spec is not None and spec.loader is loader
    loader.exec_module(importlib.util.module_from_spec(spec))
    assert recorder.provided == [("explicit", mesh / "helper_of_mesh.py")]


def test_a_lazy_loader_asks_when_the_module_is_first_used(mesh: Path, recorder: Recorder) -> None:
    spec = importlib.util.spec_from_file_location("lazy", mesh / "helper_of_mesh.py")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lazy"] = module
    spec.loader.exec_module(module)
    assert recorder.provided == []
    assert module.FILLED


def test_a_compiled_module_is_not_loaded_into_the_host(pack: Path, mesh: Path, recorder: Recorder) -> None:
    for name in ("native.cpython-39-x86_64-linux-gnu.so", "windows.cp310-win_amd64.pyd", "precompiled.pyc"):
        (mesh / name).write_bytes(b"not loadable here")
    root = load_root(pack)
    for name in ("native", "windows", "precompiled"):
        assert importlib.import_module(f"{root.__name__}.nodes.mesh.{name}").FILLED
    spec = importlib.util.spec_from_file_location("by_location", mesh / "precompiled.pyc")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    ending = importlib.machinery.EXTENSION_SUFFIXES[0]
    (mesh / f"extension{ending}").write_bytes(b"not loadable here")
    spec = importlib.util.spec_from_file_location("extension", mesh / f"extension{ending}")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert len(recorder.provided) == 6  # with the package itself


def test_running_an_isolated_module_as_a_program_is_refused(pack: Path, recorder: Recorder) -> None:
    root = load_root(pack)
    with pytest.raises(ImportError, match="cannot be run as a program"):
        runpy.run_module(f"{root.__name__}.nodes.mesh.helper_of_mesh")


# --- relative imports -----------------------------------------------------------------------------------------------


def test_a_module_is_preferred_to_a_folder_of_the_same_name_as_python_does(
    pack: Path, mesh: Path, recorder: Recorder
) -> None:
    add(pack, {"nodes/mesh/tools.py": MUST_NOT_RUN, "nodes/mesh/tools/data.txt": ""})
    root = load_root(pack)
    importlib.import_module(f"{root.__name__}.nodes.mesh.tools")
    assert recorder.locations[-1] == mesh / "tools.py"


def test_an_isolated_directory_without_init_is_provided(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"__init__.py": "", "nodes/mesh/helper_of_mesh.py": MUST_NOT_RUN})
    with hooked(pack / "nodes" / "mesh") as recorder:
        root = load_root(pack)
        assert importlib.import_module(f"{root.__name__}.nodes.mesh").FILLED
        assert importlib.import_module(f"{root.__name__}.nodes.mesh.helper_of_mesh").FILLED
    assert recorder.locations == [pack / "nodes" / "mesh", pack / "nodes" / "mesh" / "helper_of_mesh.py"]


def test_an_import_inside_a_host_function_is_provided_when_the_function_runs(
    pack: Path, recorder: Recorder
) -> None:
    lazily = "def use():\n    from .nodes.mesh import helper_of_mesh\n    return helper_of_mesh.FILLED\n"
    add(pack, {"__init__.py": lazily})
    root = load_root(pack)
    assert recorder.provided == []
    assert root.use()


def test_import_module_with_a_relative_name_is_provided(pack: Path, mesh: Path, recorder: Recorder) -> None:
    add(
        pack,
        {
            "__init__.py": "import importlib\nlate = importlib.import_module('.nodes.mesh.plain.deep', __name__)\n",
        },
    )
    assert load_root(pack).late.FILLED
    assert recorder.locations[-1] == mesh / "plain" / "deep.py"


def test_a_walk_over_the_modules_of_an_isolated_package_is_provided(
    pack: Path, mesh: Path, recorder: Recorder
) -> None:
    root = load_root(pack)
    package = importlib.import_module(f"{root.__name__}.nodes.mesh")
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
    assert recorder.locations == [mesh / "__init__.py", mesh / "helper_of_mesh.py"]


def test_another_packs_import_of_an_isolated_directory_is_provided(pack: Path) -> None:
    """Through the `custom_nodes` folder as a package: the host's part runs again, as it would without isolation."""
    plain = pack.rename(pack.parent / "mesh_pack")
    with hooked(plain / "nodes" / "mesh") as recorder:
        add(plain.parent, {"other/__init__.py": "from custom_nodes.mesh_pack.nodes.mesh import FILLED\n"})
        sys.path.insert(0, str(plain.parent.parent))
        assert load_root(plain.parent / "other").FILLED
    assert recorder.provided == [
        ("custom_nodes.mesh_pack.nodes.mesh", plain / "nodes" / "mesh" / "__init__.py")
    ]


# --- packs that edit sys.path ---------------------------------------------------------------------------------------


def test_module_found_through_an_isolated_directory_on_sys_path_is_provided(
    mesh: Path, recorder: Recorder
) -> None:
    sys.path.insert(0, str(mesh))
    assert importlib.import_module("helper_of_mesh").FILLED
    assert importlib.import_module("plain.deep").FILLED
    assert recorder.locations == [mesh / "helper_of_mesh.py", mesh / "plain", mesh / "plain" / "deep.py"]


def test_what_stands_before_on_sys_path_keeps_its_name(pack: Path, mesh: Path, recorder: Recorder) -> None:
    """ComfyUI's own `nodes` must not become an isolated directory of that name at the end of sys.path."""
    add(pack, {"first/mesh.py": "RAN = True\n", "nodes/mesh/helper_of_mesh.py": MUST_NOT_RUN})
    sys.path[:0] = [str(pack / "first"), str(mesh.parent)]
    assert importlib.import_module("mesh").RAN
    assert recorder.provided == []


def test_a_mere_folder_of_the_isolated_directory_gives_way_to_a_module_anywhere(
    pack: Path, mesh: Path, recorder: Recorder
) -> None:
    add(pack, {"nodes/mesh/models_of_the_test/data.txt": "", "last/models_of_the_test.py": "RAN = True\n"})
    sys.path.insert(0, str(mesh))
    sys.path.append(str(pack / "last"))
    assert importlib.import_module("models_of_the_test").RAN
    assert recorder.provided == []


@pytest.mark.parametrize("name", ["json", "sys", "zipimport"])
def test_a_module_named_like_one_of_pythons_own_does_not_take_its_place(
    mesh: Path, recorder: Recorder, name: str
) -> None:
    (mesh / f"{name}.py").write_text(MUST_NOT_RUN)
    sys.path.append(str(mesh))
    importlib.reload(importlib.import_module(name)) if name == "json" else importlib.import_module(name)
    assert recorder.provided == []


# --- links ----------------------------------------------------------------------------------------------------------


def test_a_linked_pack_is_isolated_by_either_path_and_told_by_its_own(tmp_path: Path) -> None:
    real = write_pack(tmp_path / "elsewhere", MIXED, name="real")
    linked = tmp_path / "custom_nodes" / "linked"
    linked.parent.mkdir()
    linked.symlink_to(real)
    with hooked(linked / "nodes" / "mesh") as recorder:
        for pack in (linked, real):
            spec = importlib.util.spec_from_file_location("m", pack / "nodes" / "mesh" / "helper_of_mesh.py")
            assert spec is not None and spec.loader is not None
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert recorder.locations == [linked / "nodes" / "mesh" / "helper_of_mesh.py"] * 2


def test_a_third_spelling_through_a_linked_parent_is_isolated_too(
    pack: Path, mesh: Path, recorder: Recorder
) -> None:
    other = pack.parent.parent / "other_way"
    other.symlink_to(pack.parent)
    spec = importlib.util.spec_from_file_location(
        "m", other / "my.pack" / "nodes" / "mesh" / "helper_of_mesh.py"
    )
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert recorder.locations == [mesh / "helper_of_mesh.py"]


# --- the scripts of a pack ------------------------------------------------------------------------------------------


def test_prestartup_script_of_a_pack_isolated_as_a_whole_is_left_to_its_worker(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"prestartup_script.py": "import missing_in_the_host\n"})
    with hooked(pack) as recorder:
        run_prestartup_script(pack)
    assert recorder.provided == []


def test_prestartup_script_of_a_mixed_pack_runs_in_the_host(pack: Path, recorder: Recorder) -> None:
    add(pack, {"prestartup_script.py": "RAN = True\n"})
    assert run_prestartup_script(pack).RAN


@pytest.mark.parametrize("script", ["install.py", "uninstall.py"])
def test_installers_are_scripts_of_the_host(tmp_path: Path, script: str) -> None:
    pack = write_pack(tmp_path, {script: "RAN = True\n"})
    with hooked(pack) as recorder:
        spec = importlib.util.spec_from_file_location("script", pack / script)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    assert module.RAN and recorder.provided == []
