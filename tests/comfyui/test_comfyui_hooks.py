"""The import hooks: what is turned away from the host's imports, and what is left alone."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ExtensionFileLoader, SourceFileLoader, SourcelessFileLoader
from pathlib import Path

import pytest
from hostimports import Recorder, hooked, load_root

from comfy_env_core.comfyui.imports import hooks
from comfy_env_core.comfyui.imports.isolated_paths import IsolatedPaths


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A mixed pack: its root and `nodes/main` run in the host, `nodes/mesh` is isolated."""
    root = tmp_path / "my.pack"
    for directory in ("nodes/main", "nodes/mesh/sub", "nodes/mesh/plain"):
        (root / directory).mkdir(parents=True)
    (root / "__init__.py").write_text("RAN = True\n")
    (root / "nodes" / "__init__.py").write_text("")
    (root / "nodes" / "main" / "__init__.py").write_text("RAN = True\n")
    for isolated in ("mesh/__init__", "mesh/boolean", "mesh/sub/__init__", "mesh/plain/deep"):
        (root / "nodes" / f"{isolated}.py").write_text("raise RuntimeError('must not run in the host')\n")
    return root


@pytest.fixture
def recorder(pack: Path) -> Iterator[Recorder]:
    with hooked(pack / "nodes" / "mesh") as recorder:
        yield recorder


def test_root_and_host_part_of_a_mixed_pack_run_in_the_host(pack: Path, recorder: Recorder) -> None:
    root = load_root(pack)
    main = importlib.import_module(root.__name__ + ".nodes.main")
    assert root.RAN and main.RAN
    assert recorder.provided == []


@pytest.mark.parametrize(
    ("tail", "location"),
    [
        (".nodes.mesh", "nodes/mesh/__init__.py"),
        (".nodes.mesh.boolean", "nodes/mesh/boolean.py"),
        (".nodes.mesh.sub", "nodes/mesh/sub/__init__.py"),
        (".nodes.mesh.plain", "nodes/mesh/plain"),
        (".nodes.mesh.plain.deep", "nodes/mesh/plain/deep.py"),
    ],
)
def test_relative_imports_below_an_isolated_directory_are_provided(
    pack: Path, recorder: Recorder, tail: str, location: str
) -> None:
    root = load_root(pack)
    module = importlib.import_module(tail, package=root.__name__)
    assert module.FILLED
    assert recorder.provided[-1] == (root.__name__ + tail, pack / location)


def test_loading_by_location_below_an_isolated_directory_is_provided(pack: Path, recorder: Recorder) -> None:
    spec = importlib.util.spec_from_file_location("any_name", pack / "nodes" / "mesh" / "boolean.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert recorder.provided == [("any_name", pack / "nodes" / "mesh" / "boolean.py")]


def test_parent_on_sys_path_makes_the_directory_itself_isolated(pack: Path, recorder: Recorder) -> None:
    sys.path.insert(0, str(pack / "nodes"))
    assert importlib.import_module("mesh").FILLED
    assert importlib.import_module("mesh.boolean").FILLED


def test_same_name_elsewhere_on_sys_path_is_left_alone(
    pack: Path, recorder: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mesh.py").write_text("RAN = True\n")
    sys.path.insert(0, str(tmp_path / "other"))
    assert importlib.import_module("mesh").RAN
    assert recorder.provided == []


def test_directory_whose_name_begins_like_an_isolated_one_is_left_alone(
    pack: Path, recorder: Recorder
) -> None:
    (pack / "nodes" / "mesh_tools.py").write_text("RAN = True\n")
    root = load_root(pack)
    assert importlib.import_module(root.__name__ + ".nodes.mesh_tools").RAN


def test_missing_submodule_is_the_ordinary_error(pack: Path, recorder: Recorder) -> None:
    root = load_root(pack)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(root.__name__ + ".nodes.mesh.nothing_here")


def test_isolated_root_is_found_through_a_link(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "pack"
    real.mkdir(parents=True)
    (real / "__init__.py").write_text("raise RuntimeError('must not run in the host')\n")
    linked = tmp_path / "custom_nodes" / "pack"
    linked.parent.mkdir()
    linked.symlink_to(real)
    recorder = Recorder()
    paths = IsolatedPaths([(linked, recorder)])
    assert paths.provider_of(str(linked / "__init__.py")) is recorder
    assert paths.provider_of(str(real / "__init__.py")) is recorder


def test_innermost_isolated_directory_wins(tmp_path: Path) -> None:
    outer, inner = Recorder(), Recorder()
    paths = IsolatedPaths([(tmp_path / "pack", outer), (tmp_path / "pack" / "nodes" / "gpu", inner)])
    assert paths.provider_of(str(tmp_path / "pack" / "nodes" / "main.py")) is outer
    assert paths.provider_of(str(tmp_path / "pack" / "nodes" / "gpu" / "a.py")) is inner
    assert paths.provider_of(str(tmp_path / "packet" / "a.py")) is None


def test_uninstalling_restores_everything() -> None:
    loaders = [SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader]
    before, finders = [dict(vars(loader)) for loader in loaders], list(sys.meta_path)
    hooks.install(IsolatedPaths([]))()
    assert [dict(vars(loader)) for loader in loaders] == before
    assert sys.meta_path == finders
