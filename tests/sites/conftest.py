"""A manager over packs written for one test, with an engine that needs no network and workers that are real."""

from __future__ import annotations

import os
import textwrap
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest
from patience import PATIENCE_S

from comfy_env_core.assembly import root_module_name
from comfy_env_core.building.engines.contract import BuiltEnvironment, Package
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.environments.store import Store, Workspace
from comfy_env_core.manager import BuildMode, Manager, ManagerParts
from comfy_env_core.sites.planning import Planner
from comfy_env_core.sites.status import SiteStatus
from comfy_env_core.supervision import WorkerPool, WorkerSpec

NODE = """
    class Echo:
        FUNCTION = "echo"
        RETURN_TYPES = ("STRING",)
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"text": ("STRING",)}}
        def echo(self, text):
            return (text + "!",)

    NODE_CLASS_MAPPINGS = {"Echo": Echo}
"""


class VenvEngine:
    """Makes a venv that sees the packages of the Python that runs the tests. A package called "missing" fails.

    `before_build` is called at the beginning of each build, in its thread.
    """

    name = "venv"
    version = "1"

    def __init__(self) -> None:
        self.builds = 0
        self.before_build: Callable[[BuildPlan], object] = lambda plan: None

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        self.builds += 1
        self.before_build(plan)
        if "missing" in plan.pypi:
            raise BuildError(
                BuildCause.NO_SUCH_PACKAGE, "There is no package 'missing'.", "Correct the name."
            )
        venv.EnvBuilder(symlinks=True).create(workspace.prefix)
        (site_packages,) = workspace.prefix.glob("lib/python*/site-packages")
        (site_packages / "tests.pth").write_text(str(Path(msgpack.__file__).parents[1]))
        packages = (
            Package("msgpack", msgpack.__version__ if hasattr(msgpack, "__version__") else "1", "pypi"),
        )
        return BuiltEnvironment(workspace.prefix, workspace.python, "3", self.name, self.version, packages)


class Services:
    """A host that is asked nothing."""

    def progress(self, value: Any, total: Any, preview: Any, node_id: str | None) -> None: ...

    def send_sync(self, event: Any, data: Any, sid: Any) -> None: ...

    def folder_paths(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        raise AttributeError(function)


class History:
    """A listener that remembers what was told of each site, and its states in order."""

    def __init__(self) -> None:
        self.told: dict[str, list[SiteStatus]] = {}
        self.states: dict[str, list[str]] = {}

    def on_job(self, job: object) -> None: ...

    def on_worker(self, site_id: str) -> None: ...

    def on_site(self, site: SiteStatus) -> None:
        self.told.setdefault(site.id, []).append(site)
        states = self.states.setdefault(site.id, [])
        if states[-1:] != [site.state.value]:
            states.append(site.state.value)


class House:
    """custom_nodes and a store in a temporary directory; managers over them, ended with the test."""

    def __init__(self, directory: Path) -> None:
        self.custom_nodes = directory / "custom_nodes"
        self.custom_nodes.mkdir()
        self.store = Store(directory / "store")
        self.engine = VenvEngine()
        self.managers: list[Manager] = []

    def pack(self, name: str, *, config: str = "", **files: str) -> Path:
        """A pack; `files` are module names ("__init__" if none is given) with their source."""
        root = self.custom_nodes / name
        root.mkdir(exist_ok=True)
        (root / "comfy-env.toml").write_text(config)
        for module, source in (files or {"__init__": NODE}).items():
            (root / f"{module}.py").write_text(textwrap.dedent(source))
        return root

    def open(
        self,
        mode: BuildMode = BuildMode.BACKGROUND,
        *,
        import_timeout_s: float = 60.0,
        workers: bool = True,
        prepare: bool = True,
    ) -> Manager:
        """A started manager, as a start of ComfyUI has one."""
        parts = ManagerParts(
            store=self.store,
            planner=Planner(None, UserSettings, os.environ),
            make_builder=lambda tell: Builder(self.store, lambda report: self.engine, [tell]),
            make_pool=lambda tell: WorkerPool(Services(), on_change=tell),
            make_spec=WorkerSpec,
            comfyui_source=None,
            module_name=root_module_name,
            import_timeout_s=import_timeout_s,
            custom_nodes=[self.custom_nodes],
        )
        manager = Manager(parts, scan([self.custom_nodes], host_skips(False, ())), mode)
        self.managers.append(manager)
        self.history = History()
        manager.add_listener(self.history)
        if workers:
            manager.allow_workers()
        manager.start()
        if prepare:
            manager.prepare()
        return manager


def echo(manager: Manager, site: str, text: str) -> Any:
    """Runs the node of `NODE` in the site's worker."""
    runtime = manager.sites[site]
    request = {
        "class": [runtime.own_module_name, "Echo"],
        "instance": "1",
        "function": "echo",
        "args": [],
        "kwargs": {"text": text},
        "context": {"prompt_id": None, "node_id": None, "list_index": None},
    }
    return manager.run(runtime, request).result(timeout_s=PATIENCE_S)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for manager in house.managers:
        manager.shutdown()


@pytest.fixture
def run_echo() -> Callable[[Manager, str, str], Any]:
    return echo
