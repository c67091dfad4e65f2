"""What is to be reached, as ratios of figures of one run: each is judged here and nowhere else."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from benchmarks.measuring import Figures

Contest = Mapping[str, Figures]
"""Figures by the contestant's name: ours, comfy_env, pyisolate, floor. Peers that were not measured are not in it."""

PEER_NAMES = ("comfy_env", "pyisolate")


class Sense(enum.Enum):
    """Which side of its target a ratio has to be on."""

    AT_MOST = "at most"
    AT_LEAST = "at least"


class Verdict(TypedDict):
    """One entry of `ratios` in build/bench.json. `value` and `held` are None where a figure was not measured."""

    what: str
    sense: str
    target: float
    value: float | None
    held: bool | None


@dataclass(frozen=True)
class Target:
    """`ratio` raises NoFigure where the run lacks what it needs."""

    name: str
    what: str
    sense: Sense
    limit: float
    ratio: Callable[[Contest], float]

    def judge(self, contest: Contest) -> Verdict:
        """The ratio of this run, and whether it holds."""
        try:
            value: float | None = self.ratio(contest)
        except NoFigure:
            value = None
        held = None
        if value is not None:
            held = value <= self.limit if self.sense is Sense.AT_MOST else value >= self.limit
        return {
            "what": self.what,
            "sense": self.sense.value,
            "target": self.limit,
            "value": value,
            "held": held,
        }


class NoFigure(LookupError):
    """A contestant was not measured."""


def figure(contest: Contest, name: str, key: str) -> float:
    """One figure of one contestant."""
    try:
        return contest[name][key]
    except KeyError:
        raise NoFigure(f"{name} has no {key}") from None


def best_peer(contest: Contest, key: str, choose: Callable[[list[float]], float]) -> float:
    """The better peer's figure; with one peer missing it would flatter us, so then there is none."""
    return choose([figure(contest, name, key) for name in PEER_NAMES])


TARGETS = (
    Target(
        "small_call_to_socket_pair",
        "small call, to the bare socket pair",
        Sense.AT_MOST,
        3.0,
        lambda run: figure(run, "ours", "small_us") / figure(run, "floor", "small_us"),
    ),
    Target(
        "small_call_faster_than_peer",
        "small call, times faster than the better peer",
        Sense.AT_LEAST,
        5.0,
        lambda run: best_peer(run, "small_us", min) / figure(run, "ours", "small_us"),
    ),
    Target(
        "fresh_in_faster_than_peer",
        "fresh tensor in, times faster than the better peer",
        Sense.AT_LEAST,
        4.0,
        lambda run: figure(run, "ours", "in_fresh_GBs") / best_peer(run, "in_fresh_GBs", max),
    ),
    Target(
        "out_faster_than_peer",
        "tensor out, times faster than the better peer",
        Sense.AT_LEAST,
        8.0,
        lambda run: figure(run, "ours", "out_GBs") / best_peer(run, "out_GBs", max),
    ),
    Target(
        "same_in_to_in_process",
        "same tensor again, to the same work in-process",
        Sense.AT_LEAST,
        0.9,
        lambda run: figure(run, "ours", "in_same_GBs") / figure(run, "ours", "sum_GBs"),
    ),
    Target(
        "image_echo_to_peer",
        "image echo, to the better peer's time",
        Sense.AT_MOST,
        0.8,
        lambda run: figure(run, "ours", "image_1024_echo_ms") / best_peer(run, "image_1024_echo_ms", min),
    ),
    Target(
        "cold_start_to_import_torch",
        'cold start with torch, to python -c "import torch"',
        Sense.AT_MOST,
        1.15,
        lambda run: figure(run, "ours", "cold_s") / figure(run, "floor", "cold_s"),
    ),
)


def judge(contest: Contest) -> dict[str, Verdict]:
    """All verdicts by name."""
    return {target.name: target.judge(contest) for target in TARGETS}
