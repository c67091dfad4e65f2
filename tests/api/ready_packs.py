"""Packs as an earlier start leaves them: built and described, without the time that this takes for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from api.scripted_engine import ScriptedEngine, fill

from comfy_env_core.assembly import root_module_name
from comfy_env_core.building.engines.contract import Package
from comfy_env_core.building.install_log import utc_now
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.discovery import Site, source_fingerprint
from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.meta import Meta, MetaPackage, write_meta
from comfy_env_core.manager import Manager
from comfy_env_core.sites.planning import Planner
from comfy_env_core.sites.record import FORMAT, record_path

#: Stands in the template for the name of the pack's module.
_MODULE = "{module}"


class ReadyPacks:
    """`manager`: over the packs, which are alike, and not started; it is used up. `planner`: as its own."""

    def __init__(self, manager: Manager, planner: Planner) -> None:
        self._manager = manager
        self._planner = planner
        self._store = manager.store

    def make(self, names: Iterable[str]) -> None:
        """Builds and describes the first as it is always done, and writes the same of the others."""
        sites = [self._manager.sites[name].site for name in names]
        template = self._described(sites[0])
        for site in sites:
            self._build(site)
            self._describe(site, template)

    def _described(self, site: Site) -> str:
        """What a worker says of the pack, as it is remembered."""
        runtime = self._manager.sites[site.id]
        try:
            self._manager.allow_workers()
            self._manager.start()
            self._manager.prepare([runtime])
            assert runtime.wait_until_settled(60) and runtime.failure is None
        finally:
            self._manager.shutdown()
        record = record_path(self._store.descriptions_dir, site.directory)
        return record.read_text().replace(root_module_name(site.directory), _MODULE)

    def _build(self, site: Site) -> None:
        plan = self._planner.plan(site, ())
        environment = self._store.environment(plan.environment_id)
        if environment.current() is None:
            workspace = environment.begin_generation()
            built = fill(workspace, plan.pypi)
            environment.log_path.write_text(f"built {site.id}\n" * 20)
            write_meta(workspace.meta_path, _meta(plan, built.packages, built.python_version))
            write_atomically(workspace.done_path, b"")
            environment.switch_to(workspace)

    def _describe(self, site: Site, template: str) -> None:
        plan, source = self._planner.plan(site, ()), source_fingerprint(site, ())
        record: dict[str, Any] = json.loads(template.replace(_MODULE, root_module_name(site.directory)))
        record |= {
            "format": FORMAT,
            "plan_key": self._planner.plan_key(site, source, plan.host_need),
            "environment_id": plan.environment_id,
            "source": source,
        }
        path = record_path(self._store.descriptions_dir, site.directory)
        write_atomically(path, json.dumps(record).encode())


def _meta(plan: BuildPlan, packages: Sequence[Package], python_version: str) -> Meta:
    return Meta(
        environment_id=plan.environment_id,
        engine=ScriptedEngine.name,
        engine_version=ScriptedEngine.version,
        python_version=python_version,
        packages=tuple(MetaPackage(one.name, one.version, one.source) for one in packages),
        config_path=str(plan.spec.path),
        facts=plan.facts,
        built_at=utc_now(),
        duration_s=1.5,
        manager_version="0",
    )
