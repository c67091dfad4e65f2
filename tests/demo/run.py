"""What one run of the workflow says about itself: which node ran where, read from ComfyUI's history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKFLOW = Path(__file__).with_name("workflow.json")
PACK_OF_PREFIX = {"Legacy": "legacy-numpy", "Modern": "modern-numpy", "Geometry": "geometry"}
DEMO_PACKS = (*PACK_OF_PREFIX.values(), "broken")
NODE_SHOWS_TEXT = "PreviewAny"


@dataclass(frozen=True)
class RanIn:
    """Where one node ran, in its own words."""

    node: str
    pack: str
    python: str
    numpy: str
    pid: int

    @property
    def python_minor(self) -> str:
        return ".".join(self.python.split(".")[:2])

    @property
    def numpy_major(self) -> str:
        return self.numpy.split(".")[0]


def load_workflow() -> dict[str, dict[str, Any]]:
    """The demo's workflow in ComfyUI's API form."""
    workflow: dict[str, dict[str, Any]] = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    return workflow


def isolated_nodes(workflow: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The node types of the workflow that come from the example packs."""
    kinds = {str(node["class_type"]) for node in workflow.values()}
    return sorted(kind for kind in kinds if kind.startswith(tuple(PACK_OF_PREFIX)))


def surroundings(workflow: Mapping[str, Mapping[str, Any]], outputs: Mapping[str, Any]) -> list[RanIn]:
    """One entry per node that told where it ran; ``outputs`` are those of a history entry, by node id."""
    found = []
    for node_id, shown in outputs.items():
        node = workflow[node_id]
        if node["class_type"] == NODE_SHOWS_TEXT:
            told_by = workflow[node["inputs"]["source"][0]]
        elif "text" in shown:
            told_by = node
        else:
            continue
        kind = str(told_by["class_type"])
        pack = next(pack for prefix, pack in PACK_OF_PREFIX.items() if kind.startswith(prefix))
        facts = json.loads(shown["text"][0])
        found.append(RanIn(kind, pack, facts["python"], facts["numpy"], facts["pid"]))
    return found


def table(rows: Iterable[RanIn], host_pid: int) -> str:
    """The rows as text for a terminal."""
    lines = [("node", "pack", "Python", "numpy", "process")]
    for row in rows:
        process = f"{row.pid} (ComfyUI itself)" if row.pid == host_pid else str(row.pid)
        lines.append((row.node, row.pack, row.python, row.numpy, process))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def shortcomings(rows: Iterable[RanIn], host_python: str) -> list[str]:
    """What this run failed to show; empty when it showed everything the demo claims."""
    rows = list(rows)
    problems = []
    others = {row.python_minor for row in rows} - {host_python}
    if len(others) < 2:
        problems.append(
            f"only {sorted(others)} ran beside ComfyUI's own Python {host_python}: two others were expected"
        )
    majors = {row.numpy_major for row in rows}
    if not {"1", "2"} <= majors:
        problems.append(f"numpy majors {sorted(majors)} ran: both 1 and 2 were expected")
    missing = set(PACK_OF_PREFIX.values()) - {row.pack for row in rows}
    if missing:
        problems.append(f"nothing of {sorted(missing)} ran")
    return problems
