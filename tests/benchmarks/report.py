"""What a run found, as one table on the terminal and as build/bench.json."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS, REPOSITORY
from benchmarks.measuring import Figures
from benchmarks.targets import Verdict

RESULT = REPOSITORY / "build" / "bench.json"

Row = tuple[str, ...]


@dataclass(frozen=True)
class Quantity:
    """One line of the contest: the key in the JSON, what it is called, and how it is printed."""

    key: str
    title: str
    unit: str
    digits: int


QUANTITIES = (
    Quantity("small_us", "small call, median", "µs", 0),
    Quantity("in_fresh_GBs", "fresh tensor in and summed", "GB/s", 2),
    Quantity("in_same_GBs", "the same tensor again, summed", "GB/s", 2),
    Quantity("out_GBs", "tensor out", "GB/s", 2),
    Quantity("image_1024_echo_ms", "1024×1024×3 image there and back", "ms", 2),
    Quantity("cold_s", "cold start with torch", "s", 2),
    Quantity("in_cold_GBs", "fresh tensor in, empty pool", "GB/s", 2),
    Quantity("memcpy_GBs", "copy in-process, warm", "GB/s", 2),
    Quantity("sum_GBs", "sum in-process", "GB/s", 2),
)


def contest_rows(result: Mapping[str, Any]) -> list[Row]:
    """Header and one row for each quantity; a dash where a contestant has no such figure or was not measured."""
    rows: list[Row] = [("", "unit", *(contestant.title for contestant in CONTESTANTS))]
    for quantity in QUANTITIES:
        values = [(result.get(one.name) or {}).get(quantity.key) for one in CONTESTANTS]
        shown = ["–" if value is None else f"{value:.{quantity.digits}f}" for value in values]
        rows.append((quantity.title, quantity.unit, *shown))
    return rows


def ratio_rows(verdicts: Mapping[str, Verdict]) -> list[Row]:
    """Header and one row for each target."""
    rows: list[Row] = [("ratio", "target", "measured", "")]
    words = {True: "held", False: "MISSED", None: "not measured"}
    for verdict in verdicts.values():
        value = "–" if verdict["value"] is None else f"{verdict['value']:.2f}"
        target = f"{verdict['sense']} {verdict['target']:g}"
        rows.append((verdict["what"], target, value, words[verdict["held"]]))
    return rows


def throughput_rows(found: Iterable[Figures]) -> list[Row]:
    """Header and one row for each number of workers."""
    rows: list[Row] = [("workers", "small calls a second", "host CPU µs a call", "fresh images in, GB/s")]
    for one in found:
        calls, cpu_us = f"{one['small_calls_per_s']:.0f}", f"{one['host_cpu_us_per_call']:.0f}"
        rows.append((f"{one['workers']:g}", calls, cpu_us, f"{one['in_fresh_GBs']:.2f}"))
    return rows


def latency_rows(found: Mapping[str, Any]) -> list[Row]:
    """Header, then a small call and the bare socket pair: the slow ones of a hundred, and processor time."""
    rows: list[Row] = [("round trip, in turn", "median µs", "p90 µs", "p99 µs", "host CPU µs")]
    for name, title in (("ours", "small call"), ("floor", "bare socket pair")):
        values = (found[name][key] for key in ("p50_us", "p90_us", "p99_us", "cpu_us"))
        rows.append((title, *(f"{value:.0f}" for value in values)))
    return rows


def footprint_rows(found: Mapping[str, Any]) -> list[Row]:
    """Header, then a worker without and one with torch beside the interpreter alone."""
    rows: list[Row] = [
        ("worker", "start s", "interpreter alone s", "its import s", "RSS MB", "PSS MB", "private MB")
    ]
    for kind, title in (("bare", "without torch"), ("torch", "with torch")):
        one = found[kind]
        times = (one["cold_s"], one["python_s"], one["imported_s"])
        memory = (one["rss_mb"], one["pss_mb"], one["private_mb"])
        rows.append((title, *(f"{value:.2f}" for value in times), *(f"{value:.1f}" for value in memory)))
    return rows


def growth_rows(found: Iterable[Figures]) -> list[Row]:
    """Header and one row for each size, in microseconds."""
    keys = ("in_fresh_s", "in_same_s", "out_s", "echo_s", "sum_s", "memcpy_s")
    header = ("size", "fresh in µs", "same again µs", "out µs", "echo µs", "sum in-process µs", "copy µs")
    rows: list[Row] = [header]
    rows += [(size_text(one["bytes"]), *(f"{one[key] * 1e6:,.0f}" for key in keys)) for one in found]
    return rows


def anatomy_rows(found: Mapping[str, Sequence[tuple[str, float]]]) -> list[Row]:
    """Header, then the places of both sides next to each other, the longest first."""
    rows: list[Row] = [("host's calling thread", "µs", "worker's main thread", "µs")]
    for sides in itertools.zip_longest(found["host"], found["worker"], fillvalue=("", None)):
        cells = [(where, "" if us is None else f"{us:.1f}") for where, us in sides]
        rows.append(tuple(itertools.chain.from_iterable(cells)))
    return rows


def size_text(size_bytes: float) -> str:
    """1 KB, 256 MB, 4 GB: powers of 1024."""
    units = ("B", "KB", "MB", "GB")
    index = 0
    while size_bytes >= 1024 and index < len(units) - 1:
        size_bytes /= 1024
        index += 1
    return f"{size_bytes:g} {units[index]}"


def text_table(rows: Sequence[Row]) -> str:
    """Aligned for a terminal: the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Row]) -> str:
    """The same for a document."""
    header, *body = rows
    alignment = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, tuple(alignment), *body))


def print_report(result: Mapping[str, Any]) -> None:
    """Everything, for a person."""
    print("\n" + "\n\n".join(map(text_table, tables(result).values())), flush=True)


def tables(result: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Every table by its name in docs/performance.md, in the order in which they are printed."""
    return {
        "contest": contest_rows(result),
        "ratios": ratio_rows(result["ratios"]),
        "latency": latency_rows(result["latency"]),
        "throughput": throughput_rows(result["throughput"]),
        "footprint": footprint_rows(result["footprint"]),
        "growth": growth_rows(result["growth"]),
        "anatomy": anatomy_rows(result["anatomy"]),
    }


def write_result(result: Mapping[str, Any], path: Path = RESULT) -> None:
    """build/bench.json, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
