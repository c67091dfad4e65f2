"""One of two busy processes is killed, again and again: the other knows at once, and keeps nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from effort import Effort

TESTS = Path(__file__).resolve().parents[1]
# A leaked segment is a megabyte at most, so a thousand rounds show a leak in one of ten, a hundred one in each; what
# others use comes and goes.
SHMEM_TOLERANCE_BYTES = 96 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


def test_survivor_of_a_kill_at_any_moment_ends_every_call_and_keeps_nothing(effort: Effort) -> None:
    rounds, seed = effort.of(short=120, quick=300, full=1000), str(effort.seed)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "OPENBLAS_NUM_THREADS": "1",  # its threads come and go with forks, and are none of ours
    }
    command = [sys.executable, "-m", "wire.kill_program", seed, str(rounds)]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60 + rounds, check=False
    )
    assert ended.returncode == 0, f"Seed {seed}: {ended.stderr[-4000:]}"
    outcome = json.loads(ended.stdout)
    print(f"kill, seed {seed}: {outcome}")
    assert not outcome["problems"], f"Seed {seed}:\n" + "\n".join(outcome["problems"])
    assert outcome["rounds"] == rounds and not outcome["orphans"]
    assert outcome["calls"] > rounds, "The processes hardly spoke before one was killed"
    assert outcome["shmem_growth_bytes"] < SHMEM_TOLERANCE_BYTES
