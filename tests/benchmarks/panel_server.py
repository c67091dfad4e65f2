"""The server that bench_panel.py asks: the API over 200 ready packs and 20 workers, and a pack whose build talks a lot.

Its answers to the lines on stdin are lines of JSON on stdout: `build SECONDS CHANGES` (a second) → `Lateness`, `cpu` →
seconds of the processor that the process has used, `quit`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.stage import Stage

from comfy_env_core.environments.meta import MetaPackage, read_meta, write_meta
from comfy_env_core.manager import Manager

LINES_PER_S = 1000
PACKAGES = 120
TALKER = "talker"


@dataclasses.dataclass
class Lateness:
    """How late the event loop was for what was due every millisecond, and for how long one of its callbacks held it.

    `held_cpu_ms`: counted in time of the processor, which leaves out what the rest of the machine took.
    """

    late_ms: list[float] = dataclasses.field(default_factory=list)
    held_cpu_ms: float = 0.0

    def as_json(self) -> dict[str, float]:
        ordered = sorted(self.late_ms)
        return {
            "samples": len(ordered),
            "median_ms": ordered[len(ordered) // 2],
            "p999_ms": ordered[int(len(ordered) * 0.999)],
            "max_ms": ordered[-1],
            "held_cpu_ms": self.held_cpu_ms,
        }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--environments", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-panel-") as directory, Stage(Path(directory)) as stage:
        names = stage.add_ready_packs(options.environments)
        for environment in stage.store.environments():
            add_packages(environment.current().meta_path)  # type: ignore[union-attr]  # all are ready
        stage.add_pack(TALKER, "# talks\n")
        stage.open()
        assert stage.manager.wait(60)
        for name in names[: options.workers]:
            stage.run_node(name)
        say({"url": stage.url})
        for line in sys.stdin:
            command, *arguments = line.split()
            if command == "build":
                say(build(stage, names, float(arguments[0]), int(arguments[1])))
            elif command == "cpu":
                say({"cpu_s": time.process_time(), "threads": sorted(t.name for t in threading.enumerate())})
            else:
                break
    return 0


def add_packages(path: Path) -> None:
    """As many as a pack with torch has."""
    more = [MetaPackage(f"package-{number}", f"1.{number}.0", "pypi") for number in range(PACKAGES)]
    meta = read_meta(path)
    assert meta is not None
    write_meta(path, dataclasses.replace(meta, packages=(*meta.packages, *more)))


def build(stage: Stage, names: list[str], seconds: float, changes_per_s: int) -> dict[str, float]:
    """Builds the pack that talks; with 0 changes a second it only looks how late the loop is when nothing happens."""
    manager: Manager = stage.manager
    with watched(stage._server.loop) as lateness:
        if changes_per_s == 0:
            time.sleep(seconds)
            return lateness.as_json()
        stage.add_course(TALKER).seconds = seconds
        stage.add_course(TALKER).lines = int(LINES_PER_S * seconds)
        (job,) = manager.upkeep.rebuild([manager.sites[TALKER]])
        began, told = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            due = int((time.monotonic() - began) * changes_per_s)
            for number in range(told, due):
                stage.backend.feed.site_changed(names[number % len(names)])
            told = due
            time.sleep(0.005)
        job.wait(60)
        return lateness.as_json()


@contextmanager
def watched(loop: asyncio.AbstractEventLoop) -> Iterator[Lateness]:
    lateness = Lateness()
    original = asyncio.Handle._run  # type: ignore[attr-defined]

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        original(handle)
        lateness.held_cpu_ms = max(lateness.held_cpu_ms, 1e3 * (time.thread_time() - began))

    asyncio.Handle._run = timed  # type: ignore[attr-defined]
    looking = asyncio.run_coroutine_threadsafe(_look(lateness), loop)
    try:
        yield lateness
    finally:
        looking.cancel()
        asyncio.Handle._run = original  # type: ignore[attr-defined]


async def _look(lateness: Lateness) -> None:
    while True:
        due = time.perf_counter() + 0.001
        await asyncio.sleep(0.001)
        lateness.late_ms.append(1e3 * max(0.0, time.perf_counter() - due))


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    sys.exit(main())
