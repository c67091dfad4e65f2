"""``nox -s bench``: measure our data plane beside two peers and the machine, print one table, write build/bench.json.

Contestants take turns, round after round, so that a machine that slows down slows all of them; what is reported is the
median of the rounds. Ends with code 0 whether or not the targets are held: the table says so. A contestant that cannot
be measured is named with the reason, and the ratios that need it are not judged.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import document
from benchmarks.contestants import (
    CONTESTANTS,
    Contestant,
    ContestantFailed,
    measure,
    measure_program,
    prepare,
    versions,
)
from benchmarks.measuring import Figures, medians
from benchmarks.report import RESULT, print_report, write_result
from benchmarks.targets import judge

BUSY_LOAD = 0.7
"""Above this load of the machine before the start, the report warns that absolute figures are not to be trusted."""


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    rounds: int
    calls: int
    starts: int
    batches: int
    workers: str
    seconds: float
    largest: int
    budget_s: float
    mb: int = 128


FULL = Extent(
    rounds=3, calls=500, starts=5, batches=10, workers="1,4,16", seconds=1.5, largest=1 << 32, budget_s=0.3
)
QUICK = Extent(
    rounds=1, calls=300, starts=1, batches=4, workers="1,4", seconds=0.5, largest=1 << 24, budget_s=0.05
)


def main() -> int:
    options = parse()
    if options.again:
        result = json.loads(RESULT.read_text(encoding="utf-8"))
    else:
        try:
            result = run(QUICK if options.quick else FULL)
        except ContestantFailed as error:
            print(f"\nNothing was reported: {error}", file=sys.stderr)
            return 1
        write_result(result)
    print_report(result)
    for name, reason in result["not_measured"].items():
        print(f"\nNOT MEASURED: {name}: {reason}")
    if result["machine"]["load_before"] > BUSY_LOAD:
        print(f"\nThe machine was busy before the start (load {result['machine']['load_before']:.1f}).")
    if options.document:
        for path in document.write(result):
            print(f"wrote {path}")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, small sizes, under 90 s")
    parser.add_argument("--document", action="store_true", help="write the figures into docs/performance.md")
    parser.add_argument("--again", action="store_true", help="measure nothing: show build/bench.json again")
    return parser.parse_args()


def run(extent: Extent) -> dict[str, Any]:
    """All figures; the layout of build/bench.json."""
    present, absent = divide()
    started, load_before = time.monotonic(), os.getloadavg()[0]
    rounds = contest(extent, present, absent)
    say("what a worker costs to have")
    footprint = measure_program("footprint", ["--starts", str(extent.starts)])
    add_samples(rounds, "cold_s", ours=footprint["torch"]["cold_s"], floor=footprint["torch"]["python_s"])
    say("small calls in turn with the bare socket pair")
    latency = measure_program("latency", ["--batches", str(extent.batches)])
    say(f"{extent.workers} workers at once")
    throughput = measure_program(
        "throughput", ["--workers", extent.workers, "--seconds", str(extent.seconds)]
    )
    say("growth with size")
    growth = measure_program("growth", ["--largest", str(extent.largest), "--budget", str(extent.budget_s)])
    say("where a small call spends its time")
    anatomy = measure_program("anatomy", [])
    figures = {name: medians(found) for name, found in rounds.items() if found}
    return {
        **{one.name: figures.get(one.name) for one in CONTESTANTS},
        "ratios": judge(figures),
        "latency": latency,
        "throughput": throughput,
        "footprint": {kind: middle(found) for kind, found in footprint.items()},
        "growth": growth,
        "anatomy": anatomy,
        "rounds": rounds,
        "not_measured": absent,
        "extent": vars(extent),
        "versions": {one.name: versions(one) for one in present if one.name not in absent},
        "machine": machine(load_before),
        "duration_s": time.monotonic() - started,
    }


def divide() -> tuple[list[Contestant], dict[str, str]]:
    """Who can be measured, environments ready; and by name why the others cannot."""
    present, absent = [], {}
    for contestant in CONTESTANTS:
        reason = contestant.missing()
        try:
            if reason is None:
                prepare(contestant)
        except ContestantFailed as error:
            reason = str(error)
        if reason is None:
            present.append(contestant)
        else:
            say(f"{contestant.title} is skipped: {reason}")
            absent[contestant.name] = reason
    return present, absent


def contest(extent: Extent, present: list[Contestant], absent: dict[str, str]) -> dict[str, list[Figures]]:
    """Figures of every round, by contestant. One that fails is left out from then on and noted in `absent`."""
    rounds: dict[str, list[Figures]] = {one.name: [] for one in present}
    for number in range(extent.rounds):
        # Every other round the other way about, so that nobody always follows the same neighbour.
        for contestant in present if number % 2 == 0 else present[::-1]:
            if contestant.name in absent:
                continue
            say(f"round {number + 1} of {extent.rounds}: {contestant.title}")
            try:
                figures = measure(contestant, ["--mb", str(extent.mb), "--calls", str(extent.calls)])
                rounds[contestant.name].append(figures)
            except ContestantFailed as error:
                if not contestant.is_peer:
                    raise
                say(f"{contestant.title} failed: {error}")
                absent[contestant.name] = str(error)
                rounds[contestant.name].clear()
    return rounds


def add_samples(rounds: dict[str, list[Figures]], key: str, **samples: list[float]) -> None:
    """What was measured in turn with the floor counts as further rounds of that one figure."""
    for name, values in samples.items():
        rounds[name] += [{key: value} for value in values]


def middle(figures: dict[str, Any]) -> Figures:
    """Every list of samples as its median."""
    return {
        key: statistics.median(value) if isinstance(value, list) else value for key, value in figures.items()
    }


def machine(load_before: float) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "load_before": load_before,
    }


def processor() -> str:
    """Its model as Linux names it, else as Python does."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
