"""How long a start takes to know that a hundred environments are built and described."""

from __future__ import annotations

import gc
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.build_bench import Bench, Figure, timed
from comfy_env_core import assembly
from comfy_env_core.discovery import Site, source_fingerprint
from comfy_env_core.environments.meta import Meta, MetaPackage, write_meta
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import BuildMode, Manager
from comfy_env_core.sites.record import SiteRecord, record_path, write_record

COUNT = 100
LIMIT_MS = 100.0


class NoServices:
    """No worker is started here, so none asks for anything."""

    def find(self, name: str) -> None:
        return None


def measure(directory: Path, runs: int) -> list[Figure]:
    configs = {
        f"pack-{number:03}": f'[pypi-dependencies]\nnumpy = ">=1.{number}"\n' for number in range(COUNT)
    }
    bench = Bench(directory, configs)
    for name in configs:
        pretend_built(bench, bench.site(name))
    seconds = [timed_start(bench) for _ in range(max(runs, 5))]
    bench.builder.shutdown()
    what = f"{COUNT} built environments, a start that finds them so"
    return [Figure(what, statistics.median(seconds) * 1e3, "ms", LIMIT_MS)]


def timed_start(bench: Bench) -> float:
    manager = a_manager(bench)
    gc.collect()
    seconds = timed(manager.start)
    states = {runtime.state for runtime in manager.sites.values()}
    manager.shutdown()
    if states != {SiteState.READY}:
        raise SystemExit(f"the environments should be ready, and are {states}")
    return seconds


def a_manager(bench: Bench) -> Manager:
    return assembly.assemble(
        bench.store,
        bench.found,
        comfyui_source=None,
        services=NoServices(),
        mode=BuildMode.BACKGROUND,
        host_facts={},
        environ=bench.settings.environ,
    )


def pretend_built(bench: Bench, site: Site) -> None:
    """The files of an environment as a build leaves them, its interpreter a link, and the record of its nodes."""
    plan = bench.plan(site.pack.path.name)
    environment = bench.store.environment(plan.environment_id)
    workspace = environment.begin_generation()
    workspace.python.parent.mkdir(parents=True)
    workspace.python.symlink_to(sys.executable)
    workspace.manifest_path.write_text(plan.manifest())
    packages = tuple(MetaPackage(f"package-{number}", "1.0", "pypi") for number in range(40))
    meta = Meta(
        plan.environment_id,
        "embedded",
        "1",
        "3.11.0",
        packages,
        str(plan.spec.path),
        plan.facts,
        "",
        1.0,
        "0",
    )
    write_meta(workspace.meta_path, meta)
    workspace.done_path.touch()
    environment.switch_to(workspace)
    write_record(
        record_path(bench.store.descriptions_dir, site.directory), record_of(bench, site, environment.id)
    )


def record_of(bench: Bench, site: Site, environment_id: str) -> SiteRecord:
    source = source_fingerprint(site, bench.found.nested(site))
    host_need = bench.plan(site.pack.path.name).host_need
    description: Mapping[str, object] = {"exports": {}, "classes": []}
    return SiteRecord(
        plan_key=bench.planner.plan_key(site, source, host_need),
        environment_id=environment_id,
        generation=1,
        host_need=host_need.value,
        python="",
        has_torch=False,
        source=source,
        descriptions={assembly.root_module_name(site.pack.path): description},
    )
