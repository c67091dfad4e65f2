"""Builds: cold, again with warm caches, and for a second pack with the same file.

usage: python tests/benchmarks/bench_build.py [--runs 3]      (`nox -s bench` sets the paths)

Real engine, real packages, an empty store in a temporary directory. Prints one line for each figure with its target.
Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from comfy_env_core.building.engines.choosing import EngineChooser
from comfy_env_core.building.jobs import Builder, JobSnapshot
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.environments.atomic import remove_tree
from comfy_env_core.environments.sizes import size_of
from comfy_env_core.environments.store import Store
from comfy_env_core.sites.planning import Planner

CONFIG = 'python = "3.12"\n\n[pypi-dependencies]\nnumpy = ">=2"\npillow = "*"\n'

REBUILD_S, SECOND_PACK_S, SECOND_PACK_BYTES = 3.0, 0.1, 1_000_000


class Bench:
    """Two packs with the same file, and a builder over an empty store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Store(directory / "store")
        for name in ("one", "two"):
            (directory / "custom_nodes" / name).mkdir(parents=True)
            (directory / "custom_nodes" / name / "comfy-env.toml").write_text(CONFIG)
            (directory / "custom_nodes" / name / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
        self.settings = UserSettings.gather(os.environ, Path.home())
        self.planner = Planner(None, lambda: self.settings, os.environ)
        self.found = scan([directory / "custom_nodes"], host_skips(False, ()))
        self.builder = Builder(self.store, EngineChooser(self.store, self.settings).choose)

    def build(self, index: int) -> JobSnapshot:
        """Plans and builds one pack's environment, as the manager does."""
        site = self.found.sites[index]
        plan = self.planner.plan(site, self.found.nested(site))
        outcome = self.builder.submit(plan, [site.directory]).wait()
        if outcome.error is not None:
            raise SystemExit(f"the build failed: {outcome.error}")
        return outcome


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(directory: Path, runs: int) -> bool:
    bench = Bench(directory)
    try:
        print(f"cold build, engine included        {timed(lambda: bench.build(0)):8.2f} s")
        (environment,) = bench.store.environments()
        rebuilds = []
        for _ in range(runs):
            remove_tree(environment.directory)
            rebuilds.append(timed(lambda: bench.build(0)))
        before = size_of(directory).total_bytes
        second_s = timed(lambda: bench.build(1))
        second_bytes = size_of(directory).total_bytes - before
    finally:
        bench.builder.shutdown()
    rebuild_s = statistics.median(rebuilds)
    print(f"identical rebuild, warm caches     {rebuild_s:8.2f} s    target < {REBUILD_S:g} s")
    print(
        f"second pack with the same file     {second_s * 1e3:8.1f} ms   target < {SECOND_PACK_S * 1e3:g} ms"
    )
    print(
        f"its disk                           {second_bytes / 1e3:8.1f} kB   target < {SECOND_PACK_BYTES / 1e3:g} kB"
    )
    print(f"second pack / rebuild              {second_s / rebuild_s:8.4f}")
    return rebuild_s < REBUILD_S and second_s < SECOND_PACK_S and second_bytes < SECOND_PACK_BYTES


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="comfy-env-bench-"))
    try:
        return 0 if run(directory, options.runs) else 1
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
