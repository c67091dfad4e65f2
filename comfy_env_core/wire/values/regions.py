"""The bytes in this process's memory that a message needs."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# A thread takes about 0.1 ms to start, in which one core copies a megabyte.
PARALLEL_FROM_BYTES = 8 << 20
MOST_THREADS = 4
PAGE = 4096


class Part:
    """One array or buffer: `size_bytes` from `address`, which hold it wherever its elements lie among them.

    `dense_bytes` is what the elements alone take, and `compact(address)` writes them there, in C order or with
    `compact_strides`. Without an `address` the bytes are in `view`. `owner` is the same object when the same array is
    sent again, and None if its memory cannot be watched for writes; `keepalive` holds the memory. If there is a
    `stage`, the bytes are on a device until it was called. The other fields describe the array as arrays.py has it:
    `strides` count elements (None: C order), `first_byte` is where the first element begins.
    """

    __slots__ = (
        "address",
        "code",
        "compact",
        "compact_strides",
        "dense_bytes",
        "dtype",
        "extra",
        "first_byte",
        "keepalive",
        "owner",
        "shape",
        "size_bytes",
        "stage",
        "strides",
        "view",
    )

    def __init__(
        self, code: int, dtype: Any, shape: Sequence[int], size_bytes: int, dense_bytes: int
    ) -> None:
        self.code = code
        self.dtype = dtype
        self.shape = list(shape)
        self.size_bytes = size_bytes
        self.dense_bytes = dense_bytes
        self.strides: list[int] | None = None
        self.first_byte = 0
        self.address = 0
        self.view: memoryview | None = None
        self.compact: Callable[[int], Any] | None = None
        self.compact_strides: list[int] | None = None
        self.stage: Callable[[], None] | None = None
        self.owner: Any = None
        self.keepalive: Any = None
        self.extra: dict[str, Any] | None = None


class Run:
    """Bytes to be written one after the other: one compact array, one buffer, or memory that several arrays share."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        first = parts[0]
        self.address = min(part.address for part in parts)
        end = max(part.address + part.size_bytes for part in parts)
        self.is_compact = (
            len(parts) == 1 and first.compact is not None and first.size_bytes > first.dense_bytes
        )
        self.size_bytes = first.dense_bytes if self.is_compact else end - self.address

    @property
    def owner(self) -> Any:
        """The array these bytes are of, if they are of one only and as they are in memory."""
        return self.parts[0].owner if len(self.parts) == 1 and not self.is_compact else None

    def as_view(self) -> memoryview:
        """The bytes. Those of a compact run are made for it."""
        first = self.parts[0]
        if self.is_compact:
            assert first.compact is not None
            buffer = bytearray(self.size_bytes)
            first.compact(ctypes.addressof(ctypes.c_char.from_buffer(buffer)))
            return memoryview(buffer)
        if first.view is not None:
            return first.view
        # Read through the address: torch's own way to a buffer leads through numpy, which may be absent.
        return memoryview((ctypes.c_ubyte * self.size_bytes).from_address(self.address)).cast("B")

    def copy_to(self, address: int) -> None:
        """Write the bytes to mapped memory."""
        first = self.parts[0]
        if self.is_compact:
            assert first.compact is not None
            first.compact(address)
        elif first.view is not None:
            memoryview((ctypes.c_ubyte * self.size_bytes).from_address(address)).cast("B")[:] = first.view
        else:
            copy_memory(address, self.address, self.size_bytes)

    def describe(self, part: Part) -> tuple[int, list[int] | None]:
        """(byte of the first element within this run, strides) of one of its parts."""
        if self.is_compact:
            return 0, part.compact_strides
        return part.address - self.address + part.first_byte, part.strides


def join_runs(parts: Iterable[Part]) -> list[Run]:
    """Runs of the parts: those whose memory overlaps share one, so that they still do when they arrive."""
    groups: list[list[Part]] = []
    end = 0
    for part in sorted(parts, key=lambda part: part.address):
        if part.view is None and groups and part.address < end and groups[-1][0].view is None:
            groups[-1].append(part)
        else:
            groups.append([part])
        if part.view is None:  # a view has no address
            end = max(end, part.address + part.size_bytes)
    return [Run(group) for group in groups]


def copy_memory(target: int, source: int, size_bytes: int) -> None:
    """As memmove, from several threads if it is much; other threads run meanwhile.

    Not by torch, whose threads go on spinning for milliseconds after an operation and keep the other process from
    reading what was copied.
    """
    shares = min(os.cpu_count() or 1, MOST_THREADS) if size_bytes >= PARALLEL_FROM_BYTES else 1
    step = -(-size_bytes // shares // PAGE) * PAGE
    starts = range(step, size_bytes, step)
    threads = [
        threading.Thread(
            target=ctypes.memmove, args=(target + start, source + start, min(step, size_bytes - start))
        )
        for start in starts
    ]
    for thread in threads:
        thread.start()
    ctypes.memmove(target, source, min(step, size_bytes))
    for thread in threads:
        thread.join()
