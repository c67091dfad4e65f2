"""What escapes the import hooks is told, and its nodes do not stay in ComfyUI."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fakepack import NODE, write_pack
from hostimports import Recorder

from comfy_env_core.comfyui.imports import hooks
from comfy_env_core.comfyui.imports.isolated_paths import IsolatedPaths
from comfy_env_core.comfyui.imports.strays import Strays

RUN = NODE + "    def run(self):\n        return 1\n"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path, {"__init__.py": "", "mesh/__init__.py": RUN}, name="stray-pack")


@pytest.fixture
def paths(pack: Path) -> Iterator[IsolatedPaths]:
    before = set(sys.modules)
    paths = IsolatedPaths([(pack / "mesh", Recorder())])
    uninstall = hooks.install(paths)
    yield paths
    uninstall()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def site(pack: Path, *, described: str | None = None) -> Any:
    """A site whose description exports one node."""
    export = {"NODE_CLASS_MAPPINGS": {"classes": {described: 0}}}
    description = {"classes": [{"qualname": "Node"}], "exports": export}
    return SimpleNamespace(
        site=SimpleNamespace(directory=pack / "mesh"),
        own_module_name="stray_pack.mesh",
        pack_module_name="stray_pack",
        record=SimpleNamespace(descriptions={"stray_pack.mesh": description} if described else {}),
    )


def looked_at(paths: IsolatedPaths, pack: Path, node: Any, described: str | None = None) -> dict[str, Any]:
    mapping = {"Stray": node, "Good": dict}
    Strays(paths, [site(pack, described=described)]).take_out(mapping)
    return mapping


def executed(code: Any) -> Any:
    scope = {"__name__": "stray_pack"}
    exec(code, scope)
    return scope["Node"]


def test_node_whose_compiled_text_was_executed_is_taken_out_and_told(
    pack: Path, paths: IsolatedPaths, caplog: pytest.LogCaptureFixture
) -> None:
    file = pack / "mesh" / "__init__.py"
    mapping = looked_at(paths, pack, executed(compile(file.read_text(), str(file), "exec")))
    assert list(mapping) == ["Good"]
    assert f"The node 'Stray' was taken out of ComfyUI: its code is from {str(file)!r}" in caplog.text
    assert "Import it" in caplog.text


def test_node_that_inherits_its_code_from_an_isolated_file_is_taken_out(
    pack: Path, paths: IsolatedPaths
) -> None:
    class Child(runpy.run_path(str(pack / "mesh" / "__init__.py"))["Node"]):  # type: ignore[misc]
        pass

    assert list(looked_at(paths, pack, Child)) == ["Good"]


def test_looking_does_not_wake_a_module_that_loads_when_it_is_used(pack: Path, paths: IsolatedPaths) -> None:
    spec = importlib.util.find_spec("colorsys")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules["colorsys"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    looked_at(paths, pack, dict)
    assert type(module).__name__ == "_LazyModule"


def test_node_of_a_file_that_runpy_ran_is_taken_out(pack: Path, paths: IsolatedPaths) -> None:
    node = runpy.run_path(str(pack / "mesh" / "__init__.py"))["Node"]
    assert list(looked_at(paths, pack, node)) == ["Good"]


def test_node_of_a_text_without_a_file_name_is_known_by_its_description(
    pack: Path, paths: IsolatedPaths
) -> None:
    node = executed((pack / "mesh" / "__init__.py").read_text())
    assert list(looked_at(paths, pack, node, described="Stray")) == ["Good"]


def test_node_that_the_host_part_makes_from_a_text_of_its_own_stays(pack: Path, paths: IsolatedPaths) -> None:
    node = executed((pack / "mesh" / "__init__.py").read_text())
    assert list(looked_at(paths, pack, node, described="Another")) == ["Stray", "Good"]


def test_module_run_by_a_loader_of_the_packs_own_making_is_told_once(
    pack: Path, paths: IsolatedPaths, caplog: pytest.LogCaptureFixture
) -> None:
    class Loader(importlib.machinery.SourceFileLoader):
        def exec_module(self, module: ModuleType) -> None:
            exec(self.get_code(module.__name__), vars(module))  # type: ignore[arg-type]

    file = str(pack / "mesh" / "__init__.py")
    spec = importlib.util.spec_from_file_location("own_way", file, loader=Loader("own_way", file))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_way"] = module
    spec.loader.exec_module(module)
    strays = Strays(paths, [site(pack)])
    for _ in range(2):
        strays.take_out({})
    assert caplog.text.count("The module 'own_way' in ComfyUI's process was made from") == 1


def test_module_that_was_imported_before_the_hooks_is_forgotten_and_told(
    pack: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths, before = IsolatedPaths([(pack / "mesh", Recorder())]), list(sys.path)
    sys.path.insert(0, str(pack))
    try:
        assert importlib.import_module("mesh").Node
        uninstall = hooks.install(paths)
        Strays(paths, [site(pack)]).drop_earlier_modules()
        assert importlib.import_module("mesh").FILLED
        uninstall()
    finally:
        sys.path[:] = before
        del sys.modules["mesh"]
    assert "imported 'mesh' from" in caplog.text and "further imports will not" in caplog.text


def test_modules_that_were_turned_away_and_nodes_kept_in_the_host_are_no_strays(
    pack: Path, paths: IsolatedPaths, caplog: pytest.LogCaptureFixture
) -> None:
    spec = importlib.util.spec_from_file_location("turned", pack / "mesh" / "__init__.py")
    assert spec is not None and spec.loader is not None
    sys.modules["turned"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["turned"])
    node = runpy.run_path(str(pack / "mesh" / "__init__.py"))["Node"]
    node.__module__ = "stray_pack.mesh_in_host"
    assert list(looked_at(paths, pack, node)) == ["Stray", "Good"]
    assert caplog.text == ""
