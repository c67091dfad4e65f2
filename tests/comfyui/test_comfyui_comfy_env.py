"""`comfy_env` in ComfyUI's process, and in installers started from there: packs get ours, unless the user wants not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fakepack import write_pack

from comfy_env_core.comfyui import comfy_env
from comfy_env_core.compat import ComfyEnvFinder
from comfy_env_core.config import ConfigError
from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.sites.failure import failure_of
from comfy_env_core.sites.runtime import SiteRuntime


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A mixed pack beside another isolated one."""
    write_pack(tmp_path, {"comfy-env.toml": ""}, name="another")
    return write_pack(tmp_path, {"__init__.py": "", "nodes/mesh/comfy-env.toml": "", "nodes/plain/a.py": ""})


@pytest.fixture
def manager(pack: Path) -> Any:
    """What the backend needs of a manager: its sites, and what was wanted of them."""
    sites = {
        site.id: SiteRuntime(site, site.pack.name)
        for site in scan([pack.parent], host_skips(False, ())).sites
    }
    wanted: list[str] = []
    for runtime in sites.values():
        runtime.on_wanted = lambda runtime: wanted.append(runtime.id)
    return SimpleNamespace(sites=sites, wanted=wanted)


@pytest.fixture
def backend(manager: Any, tmp_path: Path) -> comfy_env.HostBackend:
    return comfy_env.HostBackend(manager, Store(tmp_path / "store"))


@pytest.fixture(autouse=True)
def meta_path() -> Iterator[None]:
    before = list(sys.meta_path)
    yield
    sys.meta_path[:] = before
    for name in [name for name in sys.modules if name.partition(".")[0] == "comfy_env"]:
        del sys.modules[name]


@pytest.mark.parametrize("inner", ["", "nodes", "nodes/mesh"])
def test_install_queues_what_the_pack_lacks_and_nothing_of_others(
    backend: comfy_env.HostBackend, manager: Any, pack: Path, inner: str
) -> None:
    said: list[str] = []
    assert backend.install(pack / inner, said.append)
    assert manager.wanted == ["fake-pack/nodes/mesh"]
    assert said == [
        "fake-pack/nodes/mesh: comfy-env manager builds its environment; its nodes appear when that is done."
    ]


def test_install_of_a_pack_that_cannot_be_built_says_why(
    backend: comfy_env.HostBackend, manager: Any, pack: Path
) -> None:
    runtime = manager.sites["fake-pack/nodes/mesh"]
    error = ConfigError(pack / "nodes/mesh/comfy-env.toml", 3, None, "the line is not TOML", "Correct it")
    runtime.move(SiteState.FAILED, failure_of(error, None))
    with pytest.raises(RuntimeError, match=r"'fake-pack/nodes/mesh' cannot be built: .*not TOML"):
        backend.install(pack)


def test_pack_that_asks_for_isolation_where_there_is_none_is_refused(
    backend: comfy_env.HostBackend, pack: Path
) -> None:
    backend.refuse_to_isolate("wrap_isolated_nodes()", pack / "nodes" / "mesh")
    backend.refuse_to_isolate("wrap_isolated_nodes()", pack / "nodes")
    with pytest.raises(
        RuntimeError, match=r"@isolated asks for .*plain.*there is no comfy-env.toml.*Put one there"
    ):
        backend.refuse_to_isolate("@isolated", pack / "nodes" / "plain")


def serve(manager: Any, tmp_path: Path, environ: dict[str, str]) -> None:
    comfy_env.serve(manager, Store(tmp_path / "store"), [], environ)


def test_packs_get_ours_although_another_one_is_installed(manager: Any, tmp_path: Path) -> None:
    sys.modules["comfy_env"] = ModuleType("comfy_env")
    serve(manager, tmp_path, {})
    module = __import__("comfy_env")
    assert module.__spec__.origin == "comfy-env manager"


def test_installers_that_comfyui_starts_get_ours_too(manager: Any, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    serve(manager, tmp_path, environ)
    serve(manager, tmp_path, environ)
    assert environ["PYTHONPATH"].count(os.pathsep) == 1 and environ["PYTHONPATH"].endswith(str(tmp_path))
    code = "import comfy_env; print(comfy_env.__spec__.origin)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "comfy-env manager"


@pytest.mark.parametrize("value", ["0", "false", "No", " off "])
def test_a_user_who_wants_the_installed_one_gets_it_and_is_told_what_that_means(
    manager: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    environ = {"COMFY_ENV_TAKEOVER": value}
    serve(manager, tmp_path, environ)
    assert not any(isinstance(finder, ComfyEnvFinder) for finder in sys.meta_path)
    assert "PYTHONPATH" not in environ
    assert "get the one that is installed" in caplog.text and "starts processes of its own" in caplog.text
