"""What a site shows of itself to an import that comes at an unusual time or place."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakepack import write_pack
from hostimports import hooked, load_root
from patience import PATIENCE_S

from comfy_env_core.comfyui.imports.presence import Presence
from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode
from comfy_env_core.sites.record import SiteRecord
from comfy_env_core.sites.runtime import SiteRuntime


def runtime_of(custom_nodes: Path, tmp_path: Path, *, is_built: bool = False) -> SiteRuntime:
    (site,) = scan([custom_nodes], host_skips(False, ())).sites
    runtime = SiteRuntime(site, "pack_root")
    if is_built:
        runtime.serving = Store(tmp_path / "store").environment("0123abcd").generation(1)
    return runtime


def presence_of(runtime: SiteRuntime, mode: BuildMode = BuildMode.BACKGROUND) -> Presence:
    # The caller is not reached: nothing is called here.
    return Presence(runtime, caller=None, mode=mode)  # type: ignore[arg-type]


def import_on_a_thread(presence: Presence, location: Path) -> Any:
    """The filled module, or what filling it raised: as a node of the host does it while it runs."""
    outcome: list[Any] = []

    def work() -> None:
        module = ModuleType("imported")
        try:
            presence.provide(module, location)
            outcome.append(module)
        except ImportError as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE_S)
    return outcome[0]


def described(runtime: SiteRuntime, module: str, *, limit: int = 3) -> None:
    description = {"module": module, "classes": [], "exports": {"LIMIT": {"value": limit}}}
    record = SiteRecord("", "0123abcd", 1, "none", "3.11.7", False, "", {module: description})
    runtime.adopt(record, Store(Path("store")).environment("0123abcd").generation(1))


def test_pack_without_init_is_refused_with_the_reason(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"comfy-env.toml": "", "nodes.py": ""})
    presence = presence_of(runtime_of(pack.parent, tmp_path))
    with pytest.raises(ImportError, match=r"has a comfy-env.toml but no __init__.py.*Add one"):
        presence.provide(ModuleType("pack"), pack / "__init__.py")


def test_toml_beside_a_single_file_pack_says_that_the_file_is_another_pack(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"comfy-env.toml": ""}, name="foo")
    (pack.parent / "foo.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    presence = presence_of(runtime_of(pack.parent, tmp_path))
    with pytest.raises(ImportError, match=r"foo\.py' is another pack.*move it to '.*foo/__init__\.py'"):
        presence.provide(ModuleType("pack"), pack / "__init__.py")


def test_node_that_imports_a_module_nobody_asked_for_waits_for_its_description(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"mesh/comfy-env.toml": "", "mesh/late.py": "LIMIT = 3\n"})
    runtime = runtime_of(pack.parent, tmp_path, is_built=True)
    runtime.on_wanted = lambda site: threading.Timer(0.1, described, (site, "pack_root.mesh.late")).start()
    module = import_on_a_thread(presence_of(runtime), pack / "mesh" / "late.py")
    assert module.LIMIT == 3


def test_blocking_start_waits_for_the_new_environment_although_an_older_one_could_serve(
    tmp_path: Path,
) -> None:
    pack = write_pack(tmp_path, {"mesh/comfy-env.toml": "", "mesh/late.py": "LIMIT = 3\n"})
    runtime = runtime_of(pack.parent, tmp_path, is_built=True)
    described(runtime, "pack_root.mesh.late", limit=2)
    runtime.move(SiteState.STALE)

    def finish() -> None:
        described(runtime, "pack_root.mesh.late", limit=3)
        for state in (SiteState.BUILDING, SiteState.DESCRIBING, SiteState.READY):
            runtime.move(state)

    threading.Timer(0.1, finish).start()
    module = ModuleType("imported")
    presence_of(runtime, BuildMode.BLOCKING).provide(module, pack / "mesh" / "late.py")
    assert module.LIMIT == 3


def test_node_that_imports_from_what_is_not_built_gets_an_error_and_no_stub(tmp_path: Path) -> None:
    pack = write_pack(tmp_path, {"mesh/comfy-env.toml": "", "mesh/late.py": "class Late: ...\n"})
    runtime = runtime_of(pack.parent, tmp_path)
    runtime.move(SiteState.BUILDING)
    error = import_on_a_thread(presence_of(runtime), pack / "mesh" / "late.py")
    assert isinstance(error, ImportError)
    assert "runs in an environment of its own, and that is building. Try again" in str(error)


def test_other_pack_that_imports_before_the_site_is_ready_is_told_when_it_gets_its_nodes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By way of the pack's own root, which runs again under another name, as it would without isolation."""
    pack = write_pack(
        tmp_path,
        {
            "mesh/comfy-env.toml": "",
            "mesh/__init__.py": "class A: ...\n",
            "__init__.py": "from .mesh import A\n",
        },
        name="first_pack",
    )
    other = write_pack(tmp_path, {"__init__.py": "from first_pack.mesh import A\n"}, name="other_pack")
    presence = presence_of(runtime_of(pack.parent, tmp_path))
    with hooked(pack / "mesh", provider=presence):
        sys.path.append(str(pack.parent))
        load_root(pack)
        assert caplog.text == ""
        load_root(other)
    assert "other_pack imports pack_root.mesh, whose environment is not ready yet" in caplog.text
