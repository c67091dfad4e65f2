"""What a worker may name of ComfyUI's modules, and how it is called."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

ASKER: Any = None


class VAEDecode:
    """A node as ComfyUI's."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"cls": cls.__name__}}

    def decode(self, vae: str, samples: int) -> tuple[Any, ...]:
        return (type(self).__name__, vae, samples, MODES[-1])


MODES = ["outside"]


@contextlib.contextmanager
def inference_mode() -> Iterator[None]:
    MODES.append("inference")
    try:
        yield
    finally:
        MODES.pop()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The service over a small `nodes`."""
    nodes: Any = ModuleType("nodes")
    vars(nodes).update(
        MAX_RESOLUTION=16384,
        VAEDecode=VAEDecode,
        _private=1,
        sys=sys,
        NODE_CLASS_MAPPINGS={"VAEDecode": VAEDecode},
        NODE_DISPLAY_NAME_MAPPINGS={"VAEDecode": "VAE Decode"},
        mode=lambda: MODES[-1],
    )
    torch: Any = ModuleType("torch")
    torch.inference_mode = inference_mode
    monkeypatch.setitem(sys.modules, "nodes", nodes)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.delitem(sys.modules, "comfy_env_core.comfyui.services.nodes", raising=False)
    yield importlib.import_module("comfy_env_core.comfyui.services.nodes")
    sys.modules.pop("comfy_env_core.comfyui.services.nodes", None)


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("torch", "inference_mode"), ("nodesmith", "x")]
)
def test_modules_that_are_not_comfyuis_are_refused(service: Any, module: str, name: str) -> None:
    with pytest.raises(LookupError, match="no module of ComfyUI"):
        service.member(ASKER, module, name)
    with pytest.raises(LookupError, match="no module of ComfyUI"):
        service.call(ASKER, module, name, [], {})


@pytest.mark.parametrize("name", ["_private", "sys", "__builtins__", "Nothing"])
def test_private_names_and_modules_in_modules_are_no_members(service: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'nodes' has no attribute '{name}'"):
        service.member(ASKER, "nodes", name)
    with pytest.raises(AttributeError):
        service.call(ASKER, "nodes", f"{name}.exit", [], {})
    with pytest.raises(AttributeError):
        service.call(ASKER, "nodes", name, [], {})


def test_no_other_table_can_be_read(service: Any) -> None:
    with pytest.raises(LookupError, match="no table"):
        service.table_names(ASKER, "EXTENSION_WEB_DIRS")


def test_tables_are_read_entry_by_entry(service: Any) -> None:
    assert service.table_names(ASKER, "NODE_CLASS_MAPPINGS") == ["VAEDecode"]
    entry = service.table_entry(ASKER, "NODE_CLASS_MAPPINGS", "VAEDecode")
    assert entry == [VAEDecode, VAEDecode.__module__, "VAEDecode"]
    assert service.table_entry(ASKER, "NODE_DISPLAY_NAME_MAPPINGS", "VAEDecode") == ["VAE Decode", "", ""]
    assert service.table_entry(ASKER, "NODE_CLASS_MAPPINGS", "Nothing") == []


def test_all_names_are_those_that_can_be_had(service: Any) -> None:
    names = service.member(ASKER, "nodes", "__all__")
    assert {"MAX_RESOLUTION", "VAEDecode"} <= set(names) and not {"_private", "sys"} & set(names)
    assert service.member(ASKER, "nodes", "MAX_RESOLUTION") == 16384


def test_a_method_is_called_on_an_instance_and_a_class_method_on_the_class(service: Any) -> None:
    called = service.call(ASKER, "nodes", "VAEDecode.decode", ["v"], {"samples": 3})
    assert called == ("VAEDecode", "v", 3, "inference")
    assert service.call(ASKER, "nodes", "VAEDecode.INPUT_TYPES", [], {}) == {"required": {"cls": "VAEDecode"}}
    assert service.call(ASKER, "nodes", "mode", [], {}) == "inference"
    assert MODES == ["outside"]
