"""What watches over a fuzz from inside its process: a clock for every input, limits, and a record of what was tried.

The record is a file that outlives the process: after a crash in C it still holds the input that did it.
"""

from __future__ import annotations

import faulthandler
import gc
import mmap
import os
import resource
import signal
import struct
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORD = struct.Struct("<QI")  # number of the input, its bytes
RECORD_BYTES = 1 << 20
# One input takes microseconds. On a machine that is busy with other things this is still far away.
INPUT_LIMIT_S = 20.0
MAX_KINDS = 20
MAX_TIMES = 1000


def read_record(path: Path) -> tuple[int, bytes]:
    """(number, bytes) of the input a process tried last."""
    content = path.read_bytes()
    number, size = RECORD.unpack_from(content)
    return number, content[RECORD.size : RECORD.size + size]


def resident_bytes(key: str) -> int:
    """`VmRSS` (now) or `VmHWM` (at most, so far) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)


def open_descriptors() -> int:
    """How many descriptors are open here."""
    return len(os.listdir("/proc/self/fd")) - 1  # one is the listing itself


@dataclass
class Report:
    """The outcome, as JSON for the test that started the process."""

    inputs: int = 0
    values: int = 0
    refused: int = 0
    kept: int = 0
    lines: int = 0
    growth_bytes: int = 0
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add_failure(self, number: int, name: str, content: bytes, error: BaseException | str) -> None:
        """Something escaped; the first input of each kind is kept whole."""
        if isinstance(error, str):
            kind, story = error, error
        else:
            frames = traceback.extract_tb(error.__traceback__)
            kind = f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
            story = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        entry = self.failures.setdefault(
            kind, {"times": 0, "input": number, "seed": name, "hex": content.hex(), "story": story[-3000:]}
        )
        entry["times"] += 1

    @property
    def is_hopeless(self) -> bool:
        """Whether enough different things went wrong to stop."""
        return (
            len(self.failures) >= MAX_KINDS
            or sum(entry["times"] for entry in self.failures.values()) >= MAX_TIMES
        )


class Guard:
    """Watches one process from its construction on. `begin` before each input, `check` now and then."""

    def __init__(self, record: Path, *, address_space_bytes: int) -> None:
        record.write_bytes(bytes(RECORD_BYTES))
        with record.open("r+b") as file:
            self._record = mmap.mmap(file.fileno(), RECORD_BYTES)
        # Runs in C and then kills, as by default: a decoder stuck in C never gets to a handler of ours.
        faulthandler.register(signal.SIGALRM, file=sys.stderr, all_threads=True, chain=True)
        faulthandler.enable()
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        limit = in_use + address_space_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        self._resident_at_start = 0
        self._descriptors = 0

    def settle(self) -> None:
        """What is in use now is what the program itself needs: descriptors are counted from here."""
        gc.collect()
        gc.freeze()
        self._descriptors = open_descriptors()
        self.lower_peak()

    def lower_peak(self) -> None:
        """Measure growth from here."""
        Path("/proc/self/clear_refs").write_text("5")  # starts VmHWM anew
        self._resident_at_start = resident_bytes("VmRSS")

    def begin(self, number: int, content: bytes | bytearray) -> None:
        """The next input: write it down, start its clock."""
        size = min(len(content), RECORD_BYTES - RECORD.size)
        RECORD.pack_into(self._record, 0, number, size)
        self._record[RECORD.size : RECORD.size + size] = content[:size]
        signal.setitimer(signal.ITIMER_REAL, INPUT_LIMIT_S)

    def rest(self) -> None:
        """Stop the clock."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def leaked_descriptors(self) -> int:
        """How many more are open than at the start, once garbage is collected."""
        if open_descriptors() != self._descriptors:
            gc.collect()
        return open_descriptors() - self._descriptors

    @property
    def growth_bytes(self) -> int:
        """The most memory in use at any moment, beyond what was in use at `lower_peak`."""
        return resident_bytes("VmHWM") - self._resident_at_start
