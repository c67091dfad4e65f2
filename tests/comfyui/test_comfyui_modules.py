"""The modules that stand in the host for isolated ones, before and after there is a description."""

from __future__ import annotations

import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from comfy_env_core.comfyui.imports import modules
from comfy_env_core.comfyui.nodes.proxies import ProxyFactory
from comfy_env_core.wire.values.snapshot import freeze


@pytest.fixture
def unready(tmp_path: Path) -> ModuleType:
    """A module of a pack whose environment is not there yet."""
    source = tmp_path / "__init__.py"
    source.write_text(
        textwrap.dedent(
            """
            import missing_library
            from .nodes import Imported, EXTRA_CLASS_MAPPINGS, SAM3D
            WEB_DIRECTORY = "./web"
            NODES = []
            TABLE = {"a": missing_library.x}
            COUNT = missing_library.count()
            class Node:
                raise RuntimeError("must not run in the host")
            class VAE: ...
            def helper(): ...
            """
        )
    )
    module = ModuleType("pack")
    modules.fill_unready(module, source)
    return module


def test_unready_module_runs_no_code_and_has_what_the_source_names(unready: ModuleType) -> None:
    assert unready.WEB_DIRECTORY == "./web", "ComfyUI's static routes cannot be added later"
    assert unready.NODE_CLASS_MAPPINGS == {} and unready.EXTRA_CLASS_MAPPINGS == {} and unready.TABLE == {}
    assert unready.NODES == []
    for name in ("Node", "Imported", "VAE", "SAM3D"):
        assert issubclass(getattr(unready, name), modules.NotReady)


@pytest.mark.parametrize("absent", ["COUNT", "helper", "comfy_entrypoint", "Elsewhere", "__path__"])
def test_unready_module_claims_nothing_else(unready: ModuleType, absent: str) -> None:
    assert not hasattr(unready, absent)


def test_unready_module_with_a_star_import_guesses_by_the_form_of_the_name(tmp_path: Path) -> None:
    source = tmp_path / "__init__.py"
    source.write_text("from .nodes import *\n")
    module = ModuleType("pack")
    modules.fill_unready(module, source)
    assert issubclass(module.AnyNode, modules.NotReady) and module.AnyNode is module.AnyNode
    assert module.MORE_MAPPINGS == {}
    assert not hasattr(module, "WEB_DIRECTORY")


def test_unready_module_of_a_broken_source_is_still_a_module(tmp_path: Path) -> None:
    source = tmp_path / "__init__.py"
    source.write_text("class Broken(\n")
    module = ModuleType("pack")
    modules.fill_unready(module, source)
    assert module.NODE_CLASS_MAPPINGS == {}


def described(**exports: dict[str, Any]) -> ModuleType:
    entry = {
        "module": "pack",
        "qualname": "Node",
        "attributes": {"FUNCTION": "run"},
        "input_types": None,
        "input_types_error": None,
        "input_types_by_caller": {},
        "functions": {},
    }
    module = ModuleType("pack")
    # The caller is not reached: nothing is called here.
    factory = ProxyFactory(caller=None)  # type: ignore[arg-type]
    modules.fill(module, {"module": "pack", "classes": [entry], "exports": exports}, factory)
    return module


def test_described_module_exports_classes_dicts_of_classes_and_constants() -> None:
    module = described(
        Node={"class": 0},
        NODE_CLASS_MAPPINGS={"classes": {"A": 0, "B": 0}},
        LIMITS={"value": freeze((1, float("inf")))},
    )
    assert {"A": module.Node, "B": module.Node} == module.NODE_CLASS_MAPPINGS
    assert (1, float("inf")) == module.LIMITS


def test_what_stayed_in_the_worker_is_named_when_it_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    module = described(helper={"opaque": "function"})
    with pytest.raises(AttributeError, match="'helper' of the isolated module 'pack' is a function"):
        _ = module.helper
    assert "Move it out of the isolated directory" in caplog.text, (
        "an import statement hides the error's words"
    )
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = module.other
