"""`[options] in_host`: the named nodes are the pack's real classes, everything else stays isolated."""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hostimports import hooked, load_root

from comfy_env_core.assembly import root_module_name
from comfy_env_core.comfyui.imports import modules
from comfy_env_core.comfyui.imports.in_host import InHostImportError, MixedFactory
from comfy_env_core.discovery import scan
from comfy_env_core.sites.record import SiteRecord
from comfy_env_core.sites.runtime import SiteRuntime

NODE = "class {0}:\n    FUNCTION = 'run'\n    WHERE = 'host'\n    def run(self):\n        return {1}\n"
FILES = {
    "__init__.py": "raise RuntimeError('the root needs what only the environment has')\n",
    "sampling/__init__.py": "import a_library_of_the_environment\n",
    "sampling/sampler.py": "from ..shared import TABLE\nfrom . import steps\n"
    + NODE.format("Sampler", "TABLE, steps.N"),
    "sampling/steps.py": "N = 3\n",
    "shared.py": "TABLE = {'kept': True}\n",
    "broken.py": "import a_library_of_the_environment\n" + NODE.format("Broken", "1"),
    "isolated.py": "raise RuntimeError('must not run in the host')\n",
}
CLASSES = {"Sampler": "sampling.sampler", "Broken": "broken", "Isolated": "isolated"}


class Proxies:
    """Stands for ProxyFactory."""

    def __init__(self) -> None:
        self.made: dict[str, type] = {}

    def proxies(self, description: Mapping[str, Any]) -> list[type]:
        return [self._proxy(entry["qualname"]) for entry in description["classes"]]

    def _proxy(self, name: str) -> type:
        members = {"FUNCTION": "run", "WHERE": "worker", "run": lambda self: "in the worker"}
        return self.made.setdefault(name, type(name, (), members))

    def forget_all(self) -> None:
        self.made.clear()


Fill = Callable[[str], ModuleType]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    pack = tmp_path / "custom_nodes" / "my.pack"
    for name, text in FILES.items():
        path = pack / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return pack


@pytest.fixture
def fill(pack: Path) -> Iterator[Fill]:
    """The stand-in for the pack's root in the host, with that `in_host` in its file."""
    with hooked(pack):

        def make(in_host: str) -> ModuleType:
            (pack / "comfy-env.toml").write_text(f"[options]\nin_host = {in_host}\n")
            (site,) = scan([pack.parent], lambda path: None).sites
            runtime = SiteRuntime(site, root_module_name(pack))
            described = description(runtime.own_module_name)
            runtime.record = SiteRecord(
                "", "", 1, "none", "3.11.7", False, "", {runtime.own_module_name: described}
            )
            module = ModuleType("stand-in")
            modules.fill(module, described, MixedFactory(Proxies(), runtime))
            return module

        before = list(sys.meta_path)
        yield make
        sys.meta_path[:] = before
        for name in [name for name in sys.modules if "_in_host" in name]:
            del sys.modules[name]


def description(root: str) -> dict[str, Any]:
    return {
        "module": root,
        "classes": [{"module": f"{root}.{module}", "qualname": name} for name, module in CLASSES.items()],
        "exports": {
            "NODE_CLASS_MAPPINGS": {"classes": {f"My {name}": index for index, name in enumerate(CLASSES)}},
            "Sampler": {"class": 0},
        },
    }


def test_a_named_node_is_the_packs_own_class_and_the_others_stay_isolated(fill: Fill) -> None:
    module = fill('["My Sampler"]')
    table = module.NODE_CLASS_MAPPINGS
    assert list(table) == ["My Sampler", "My Broken", "My Isolated"]
    assert table["My Sampler"]().run() == ({"kept": True}, 3)
    assert module.Sampler is table["My Sampler"]
    assert [table[name].WHERE for name in table] == ["host", "worker", "worker"]


def test_only_what_the_node_imports_is_executed_and_nothing_is_written_into_the_pack(
    fill: Fill, pack: Path
) -> None:
    fill('["My Sampler"]')
    imported = {name.rpartition("_in_host")[2] for name in sys.modules if "_in_host" in name}
    assert imported == {"", ".sampling", ".sampling.sampler", ".sampling.steps", ".shared"}
    assert not list(pack.rglob("__pycache__"))


def test_a_node_that_cannot_be_imported_explains_itself_and_spoils_nothing(
    fill: Fill, caplog: pytest.LogCaptureFixture
) -> None:
    table = fill('["My *o*", "My Sampler"]').NODE_CLASS_MAPPINGS
    with pytest.raises(
        InHostImportError, match=r"'My Broken' .* in_host .*No module named 'a_library"
    ) as caught:
        table["My Broken"]().run()
    assert "take it out of in_host" in str(caught.value)
    with pytest.raises(InHostImportError, match="must not run in the host"):
        table["My Isolated"]().run()
    assert table["My Sampler"]().run()
    assert "a_library_of_the_environment" in caplog.text


def test_a_name_that_is_no_node_is_told_with_near_ones(fill: Fill, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fill('["My Samplers", "Nothing*", "My Sampler"]')
    assert "in_host names 'My Samplers', which is no node of it. Did you mean 'My Sampler'?" in caplog.text
    assert "'Nothing*'" in caplog.text
    assert len([record for record in caplog.records if "in_host names" in record.message]) == 2


def test_a_package_is_executed_when_something_of_its_own_is_asked_for(fill: Fill, pack: Path) -> None:
    (pack / "sampling" / "__init__.py").write_text("from .steps import N\nTOTAL = N * 2\n")
    text = "from . import TOTAL\nfrom .. import shared\n" + NODE.format("Sampler", "TOTAL, shared.TABLE")
    (pack / "sampling" / "sampler.py").write_text(textwrap.dedent(text))
    assert fill('["My Sampler"]').NODE_CLASS_MAPPINGS["My Sampler"]().run() == (6, {"kept": True})


def test_a_pack_that_is_loaded_again_is_imported_again(pack: Path) -> None:
    with hooked(pack):
        (pack / "comfy-env.toml").write_text('[options]\nin_host = ["My Sampler"]\n')
        (site,) = scan([pack.parent], lambda path: None).sites
        runtime = SiteRuntime(site, root_module_name(pack))
        factory = MixedFactory(Proxies(), runtime)
        first = factory.proxies(description(runtime.own_module_name))[0]
        assert factory.proxies(description(runtime.own_module_name))[0] is first
        (pack / "sampling" / "steps.py").write_text("N = 44\n")
        factory.forget_all()
        assert factory.proxies(description(runtime.own_module_name))[0]().run() == ({"kept": True}, 44)
        factory.forget_all()
    assert not [name for name in sys.modules if "_in_host" in name]


def test_a_node_of_an_isolated_directory_shares_what_lies_outside_with_the_pack(tmp_path: Path) -> None:
    pack = tmp_path / "custom_nodes" / "mixed.pack"
    files = {
        "__init__.py": "",
        "shared.py": "MADE = object()\n",
        "nodes/__init__.py": "",
        "nodes/mesh/comfy-env.toml": '[options]\nin_host = ["*"]\n',
        "nodes/mesh/__init__.py": "import a_library_of_the_environment\n",
        "nodes/mesh/node.py": "from ...shared import MADE\n" + NODE.format("Mesh", "MADE"),
    }
    for name, text in files.items():
        path = pack / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with hooked(pack / "nodes" / "mesh"):
        root = load_root(pack)
        (site,) = scan([pack.parent], lambda path: None).sites
        runtime = SiteRuntime(site, root.__name__)
        described = {
            "module": runtime.own_module_name,
            "classes": [{"module": f"{runtime.own_module_name}.node", "qualname": "Mesh"}],
            "exports": {"NODE_CLASS_MAPPINGS": {"classes": {"Mesh": 0}}},
        }
        (found,) = MixedFactory(Proxies(), runtime).proxies(described)
        assert found().run() is sys.modules[f"{root.__name__}.shared"].MADE
        for name in [name for name in sys.modules if name.startswith(root.__name__)]:
            del sys.modules[name]
        sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "HostModules"]
