"""What the benchmarks make of their figures: verdicts, and the page they are written into. Nothing is measured here."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import document, drawing, report
from benchmarks.measuring import Figures, medians
from benchmarks.targets import PEER_NAMES, TARGETS, judge

GROWTH = [
    {"bytes": size, **{series.key: 1e-6 + size / 1e10 for series in drawing.SERIES}}
    for size in (1 << exponent for exponent in range(10, 33, 2))
]
PEER: Figures = {"small_us": 500, "in_fresh_GBs": 1.5, "out_GBs": 1.0, "image_1024_echo_ms": 2.0}
OURS: Figures = {
    "small_us": 100,
    "in_fresh_GBs": 6.0,
    "in_same_GBs": 30,
    "sum_GBs": 30,
    "out_GBs": 8.0,
    "image_1024_echo_ms": 1.6,
    "cold_s": 1.15,
}
CONTEST = {"ours": OURS, "floor": {"small_us": 40, "cold_s": 1.0}, "comfy_env": PEER, "pyisolate": PEER}


def test_a_ratio_to_a_peer_that_was_not_measured_is_not_judged() -> None:
    verdicts = judge({name: figures for name, figures in CONTEST.items() if name != "pyisolate"})
    unknown = {name for name, verdict in verdicts.items() if verdict["held"] is None}
    assert unknown == {name for name in verdicts if "peer" in name}


def test_a_ratio_just_on_its_target_holds() -> None:
    assert [name for name, verdict in judge(CONTEST).items() if not verdict["held"]] == []


@pytest.mark.parametrize("faster", PEER_NAMES)
def test_the_better_peer_counts(faster: str) -> None:
    better = {"small_us": 300, "in_fresh_GBs": 3.0, "out_GBs": 2.0, "image_1024_echo_ms": 1.0}
    verdicts = judge({**CONTEST, faster: better})
    missed = {name for name, verdict in verdicts.items() if not verdict["held"]}
    assert missed == {target.name for target in TARGETS if "peer" in target.name}


def test_further_rounds_of_one_figure_leave_the_others_as_they_are() -> None:
    assert medians([{"a": 1, "b": 5}, {"a": 3}, {"a": 2}]) == {"a": 2, "b": 5}


def test_the_page_has_a_block_for_every_table_and_its_words_stay(tmp_path: Path) -> None:
    page, picture = tmp_path / "page.md", tmp_path / "picture.svg"
    page.write_text(document.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    document.write(a_result(), page, picture)
    first = page.read_text(encoding="utf-8")
    document.write(a_result(), page, picture)
    assert page.read_text(encoding="utf-8") == first
    assert first.startswith("# Performance") and "| 4 GB |" in first


def test_a_page_without_a_block_for_a_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- figures: machine -->\n<!-- end of figures -->\n", encoding="utf-8")
    with pytest.raises(ValueError, match="contest"):
        document.write(a_result(), page, tmp_path / "picture.svg")


def test_the_drawing_is_xml_with_every_point_inside_its_panel() -> None:
    root = ElementTree.fromstring(drawing.draw(GROWTH))
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    heights = [
        float(circle.attrib["cy"]) for circle in circles if float(circle.attrib["cy"]) > drawing.TOP - 20
    ]
    assert len(heights) == len(GROWTH) * 7
    assert drawing.TOP <= min(heights) <= max(heights) <= drawing.BOTTOM


def a_result() -> dict[str, object]:
    """The layout of build/bench.json, as far as the report reads it."""
    footprint = {
        "cold_s": 1.0,
        "python_s": 1.0,
        "imported_s": 1.0,
        "rss_mb": 1.0,
        "pss_mb": 1.0,
        "private_mb": 1.0,
    }
    round_trip = {"p50_us": 1.0, "p90_us": 1.0, "p99_us": 1.0, "cpu_us": 1.0}
    at_once = {"workers": 1, "small_calls_per_s": 1.0, "host_cpu_us_per_call": 1.0, "in_fresh_GBs": 1.0}
    result: dict[str, object] = {
        **CONTEST,
        "ratios": judge(CONTEST),
        "latency": {"ours": round_trip, "floor": round_trip},
        "throughput": [at_once],
        "footprint": {"bare": footprint, "torch": footprint},
        "growth": GROWTH,
        "anatomy": {"host": [["wire.codec", 1.0]], "worker": []},
        "versions": {"ours": {"torch": "2.13.0"}},
        "machine": {"processor": "some", "cores": 2, "system": "Linux", "python": "3.11", "load_before": 0.0},
        "extent": {"mb": 128, "calls": 1, "rounds": 1},
    }
    assert set(report.tables(result)) < {*result, "contest"}
    return result
