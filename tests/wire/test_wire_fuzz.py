"""Damaged messages, a million in a full run: each is a value or a WireError, in little time, and nothing stays open.

The fuzz runs in a process of its own, so that a crash in C or a hang is a failure of a test with the input in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from effort import Effort
from wire.corpus import Corpus
from wire.fuzz_guard import read_record
from wire.layout import RAW_CODES, sections
from wire.msgpack_tokens import codes, scan

from comfy_env_core.wire.values.types import TypeCode

TESTS = Path(__file__).resolve().parents[1]
# Layer -> its share of the inputs.
LAYERS = {"bodies": 1.0, "streams": 0.1, "connections": 0.02}
# Twenty times what an input takes on a quiet machine.
LIMIT_S_PER_INPUT = 0.001
# What a decoder may hold for one small message: a mapped array, the objects of a value.
GROWTH_LIMIT_BYTES = 48 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and passes descriptors")


@pytest.mark.parametrize("layer", LAYERS)
def test_damaged_messages_end_in_a_value_or_a_wire_error(layer: str, tmp_path: Path, effort: Effort) -> None:
    inputs = int(effort.of(short=120_000, quick=300_000, full=1_000_000) * LAYERS[layer])
    report = run_fuzz(layer, effort.seed, inputs, tmp_path / "record")
    assert not report["failures"], story_of(layer, effort.seed, report)
    assert report["inputs"] >= inputs
    assert report["growth_bytes"] < GROWTH_LIMIT_BYTES, report
    # A fuzz that is refused at the door, or that damages nothing, finds nothing.
    assert report["values"] > inputs / 100 and report["refused"] > inputs / 100, report


def test_corpus_of_the_fuzz_has_every_code_of_the_type_table() -> None:
    corpus = Corpus()
    found = set()
    for message in corpus.messages:
        for section in sections(message.body):
            found |= codes(message.body, scan(message.body, section.start, section.end, RAW_CODES))
    assert {code.name for code in TypeCode} - {code.name for code in TypeCode if code in found} == set()


def run_fuzz(layer: str, seed: int, inputs: int, record: Path) -> dict[str, Any]:
    """The report of a fuzz process; fails with its last input if it died."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "PYTHONHASHSEED": "0",  # the order of sets is part of the corpus
    }
    command = [sys.executable, "-m", "wire.fuzz_program", layer, str(seed), str(inputs), str(record)]
    limit_s = 60 + inputs * LIMIT_S_PER_INPUT
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(
            f"The fuzz of {layer} (seed {seed}) took longer than {limit_s:.0f} s.\n{last_input(record)}"
        )
    if ended.returncode:
        pytest.fail(
            f"The fuzz of {layer} (seed {seed}) ended with {ended.returncode}.\n"
            f"{last_input(record)}\n{ended.stderr[-4000:]}"
        )
    report: dict[str, Any] = json.loads(ended.stdout)
    shown = {key: value for key, value in report.items() if key != "failures"}
    print(f"fuzz of {layer}, seed {seed}: {shown}")
    return report


def last_input(record: Path) -> str:
    """What the process tried last."""
    number, content = read_record(record)
    return f"Its last input, number {number}: {content.hex()}"


def story_of(layer: str, seed: int, report: dict[str, Any]) -> str:
    """Everything that escaped, with an input each."""
    parts = [f"{len(report['failures'])} things went wrong in the fuzz of {layer}, seed {seed}"]
    for kind, entry in report["failures"].items():
        parts.append(
            f"{kind}, {entry['times']} times; first with input {entry['input']}, made of {entry['seed']!r}:\n"
            f"{entry['hex'][:4000]}\n{entry['story']}"
        )
    return "\n\n".join(parts)
