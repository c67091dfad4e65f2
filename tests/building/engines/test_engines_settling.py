"""Settled sources under the real uv: files of the CUDA index with their checksums, torch from wherever it was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from building.engines.offline_channel import served
from building.engines.samples import RecordingReport, wheel_bytes
from building.wheel_farm import WheelFarm, wheel_name, write_page, write_torch_index, write_wheel

from comfy_env_core.building.cuda import Cuda
from comfy_env_core.building.engines.contract import BuiltEnvironment
from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.engine_packages import EngineTools
from comfy_env_core.building.engines.interpreters import Interpreters
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.plan import plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.settling import SettlingEngine
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import HostNeed, parse_env
from comfy_env_core.discovery import HostUse
from comfy_env_core.environments.store import Store, Workspace

USES_TORCH = HostUse(HostNeed.TORCH, imports_torch=True, evidence=("a.py:1",), torch_packages=("torch",))
NOWHERE = "http://127.0.0.1:9"
GSPLAT = '[cuda]\npackages = ["gsplat"]'

Build = Callable[..., BuiltEnvironment]


@pytest.fixture
def workspace(shared_store: Store) -> Workspace:
    """A place that no test before has used."""
    number = sum(1 for _ in shared_store.environments())
    return shared_store.environment(f"{number:08x}").begin_generation()


@pytest.fixture
def build(
    engine_tools: EngineTools,
    shared_store: Store,
    interpreters: Interpreters,
    workspace: Workspace,
    tmp_path: Path,
) -> Build:
    """Builds a file for a host with torch 2.8.0, as the engine that a chooser hands out, without conda channels.

    The index at `base`/simple has msgpack alone.
    """

    def run(text: str, base: str, cuda: Cuda | None, *links: Path, index: str = "") -> BuiltEnvironment:
        settings = UserSettings(
            index_url=f"{base}/simple",
            find_links=tuple(map(str, links)),
            conda_mirrors={"https://conda.anaconda.org": (NOWHERE,)},
            environ={
                "COMFY_ENV_CUDA_WHEELS": base,
                "COMFY_ENV_TORCH_WHEELS": index or f"{base}/whl",
                "UV_HTTP_RETRIES": "0",
            },
        )
        path = tmp_path / "comfy-env.toml"
        path.write_text(text, encoding="utf-8")
        host = dataclasses.replace(
            HostPython.current({"COMFY_ENV_CUDA_VERSION": "none"}),
            torch_version="2.8.0",
            distributions={"torch": "2.8.0"},
            cuda=cuda,
        )
        plan = plan_build(
            parse_env(text.encode(), path),
            platform=Platform.current(),
            host=host,
            host_use=USES_TORCH,
            comfyui_requirements=(),
            settings=settings,
        )
        embedded = EmbeddedEngine(shared_store, settings, interpreters=interpreters)
        engine = SettlingEngine(embedded, settings, Reachability(settings, deadline_s=2.0))
        return engine.provision(plan, workspace, RecordingReport())

    return run


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What one server has: a simple index below `simple`, torch's indexes below `whl`, and room for a wheel farm."""
    root = tmp_path / "site"
    name = "msgpack-1.1.2-py3-none-any.whl"
    (root / "simple/files").mkdir(parents=True)
    (root / "simple/files" / name).write_bytes(wheel_bytes("msgpack", "1.1.2", {"msgpack.py": b""}))
    write_page(root / "simple" / "msgpack", [(f"../files/{name}", name)])
    write_torch_index(root / "whl", "cu128", wheel_name("torch", "2.8.0+cu128"))
    return root


def versions(built: BuiltEnvironment) -> dict[str, str]:
    return {package.name: package.version for package in built.packages}


def test_a_file_that_is_not_the_published_one_is_refused(build: Build, site: Path) -> None:
    farm = WheelFarm(site)
    farm.add("gsplat", "1.5.3", "12.8", "2.8", sha="0" * 64)
    farm.write_manifest()
    with served(site) as base, pytest.raises(BuildError) as caught:
        build(GSPLAT, base, Cuda("12.8", "a test"))
    assert "gsplat" in str(caught.value)


def test_cuda_packages_are_installed_from_a_mirror_beside_the_torch_they_fit(
    build: Build, site: Path, workspace: Workspace
) -> None:
    farm = WheelFarm(site)
    farm.add("gsplat", "1.5.3", "12.8", "2.8")
    farm.write_manifest()
    with served(site) as base:
        built = build(GSPLAT, base, Cuda("12.8", "a test"))
    assert versions(built)["gsplat"] == "1.5.3+cu128torch2.8"
    assert versions(built)["torch"] == "2.8.0+cu128"
    assert "/releases/download/gsplat-latest/" in workspace.manifest_path.read_text("utf-8")


def test_torch_comes_from_a_find_links_folder_when_its_index_is_away(
    build: Build, site: Path, tmp_path: Path, workspace: Workspace
) -> None:
    write_wheel(tmp_path / "wheels", wheel_name("torch", "2.8.0+cpu"))
    with served(site) as base:
        built = build("", base, None, tmp_path / "wheels", index=NOWHERE)
    assert versions(built)["torch"] == "2.8.0+cpu"
    assert "find-links" in workspace.manifest_path.read_text("utf-8")
