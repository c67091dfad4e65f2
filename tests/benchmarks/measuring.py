"""Clocks and medians: the same arithmetic as the peers' scripts, so that figures can be compared."""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Figures = dict[str, float]
"""What a contestant prints, by the keys of the peers' scripts: cold_s, small_us, in_fresh_GBs …"""


def timed_s(action: Callable[[], object]) -> float:
    """How long it took, in seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def median_s(action: Callable[[], object], times: int) -> float:
    """The median duration of `times` runs."""
    return statistics.median(timed_s(action) for _ in range(times))


def median_each_s(action: Callable[[Any], object], values: Iterable[Any]) -> float:
    """The median duration of one run for each value. All values exist before the first run if a list is passed."""
    return statistics.median(timed_s(functools.partial(action, value)) for value in values)


def median_within_s(
    prepare: Callable[[], Any], action: Callable[[Any], float], *, budget_s: float, least: int, most: int
) -> float:
    """The median of what `action(prepare())` returns (seconds), run until the budget is used up.

    At least `least` and at most `most` runs. The prepared value is dropped before the next is made.
    """
    durations: list[float] = []
    end = time.perf_counter() + budget_s
    while len(durations) < least or (len(durations) < most and time.perf_counter() < end):
        durations.append(action(prepare()))
    return statistics.median(durations)


def medians(rounds: Iterable[Mapping[str, float]]) -> Figures:
    """The median over rounds of every key; a key that some rounds lack is the median of those that have it."""
    samples: dict[str, list[float]] = {}
    for figures in rounds:
        for key, value in figures.items():
            samples.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in samples.items()}


def print_figures(figures: Any) -> None:
    """One JSON line on stdout, as the harness expects it. Any: each program has a payload of its own."""
    print(json.dumps(figures), flush=True)
