"""The fuzz itself, in a process of its own: `python -m wire.fuzz_program LAYER SEED INPUTS RECORD`.

LAYER is `bodies` (decoding), `streams` (frames off a socket) or `connections` (whole ends of a conversation). Prints
a `Report` as JSON. The same seed and count try the same inputs, in the same order.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy
from wire.corpus import Corpus
from wire.fuzz_connections import fuzz_connections
from wire.fuzz_guard import Guard, Report
from wire.fuzz_streams import fuzz_streams
from wire.layout import RAW_CODES, Side
from wire.mutation import Mutator, Seed, analyse

import comfy_env_core.wire
from comfy_env_core.wire import WireError
from comfy_env_core.wire.values import libraries

BATCH = 1000
# Within one batch; a bomb of a few bytes takes hundreds of megabytes.
TOLERATED_GROWTH_BYTES = 16 << 20
EXPLORED_SHARE = 0.02
# For inputs that leave something behind. What the first few show is enough.
MAX_SEARCHES = 3
MAX_KEPT_BYTES = 2048
# The largest thing a decoder may ask for at once is an array of the corpus.
BODIES_ADDRESS_SPACE = 1 << 30
# A frame may announce a gigabyte; that much is reserved, not used, until the bytes arrive.
STREAMS_ADDRESS_SPACE = 6 << 30


class BodyFuzz:
    """Damaged bodies, decoded as whoever waits for them would."""

    def __init__(self, guard: Guard, corpus: Corpus, seed: str) -> None:
        self.report = Report()
        self._guard = guard
        self._side: Side = corpus.receiver
        self._seed = seed
        self._seeds: list[Seed] = [analyse(message, RAW_CODES) for message in corpus.messages]
        self._odd_descriptor = os.open(os.devnull, os.O_RDWR)
        self._number = 0
        self._searches = 0

    def run(self, inputs: int) -> Report:
        """Try so many; fewer if too much goes wrong."""
        for seed in self._seeds:
            self._try(seed, seed.message.body, seed.message.descriptors)
            if self.report.failures or (self.report.refused and not seed.message.may_be_refused):
                raise AssertionError(f"The valid message {seed.message.name!r} was refused: {self.report}")
            self.report.refused = 0
        self._guard.settle()
        self._explore(int(inputs * EXPLORED_SHARE))
        batch = 0
        while self.report.inputs < inputs and not self.report.is_hopeless and self._searches < MAX_SEARCHES:
            self._batch(
                Mutator(self._seeds, f"{self._seed} {batch}"), min(BATCH, inputs - self.report.inputs)
            )
            batch += 1
        self._guard.rest()
        return self.report

    def _batch(self, mutator: Mutator, count: int, *, tracer: _Reached | None = None) -> None:
        first, state = self._number, mutator.state
        self._guard.lower_peak()
        for _ in range(count):
            if tracer is None:
                self._mutated(mutator, mutator.choose())
            else:
                self._traced(mutator, mutator.choose(), tracer)
        self._side.forget_dropped()
        growth = self._guard.growth_bytes
        self.report.growth_bytes = max(self.report.growth_bytes, growth)
        if growth > TOLERATED_GROWTH_BYTES or self._guard.leaked_descriptors():
            self._number, mutator.state = first, state
            self._find_culprits(mutator, count)

    def _find_culprits(self, mutator: Mutator, count: int) -> None:
        """Run a batch once more, measuring after each input: too slow to do always."""
        self._searches += 1
        for _ in range(count):
            self._guard.settle()
            seed = mutator.choose()
            body = self._mutated(mutator, seed)
            growth, leaked = self._guard.growth_bytes, self._guard.leaked_descriptors()
            if leaked:
                self.report.add_failure(self._number, seed.message.name, bytes(body), "Descriptors leaked")
            if growth > TOLERATED_GROWTH_BYTES:
                size = f"An input took {1 << (growth >> 20).bit_length()} MB or less"
                self.report.add_failure(self._number, seed.message.name, bytes(body), size)
        self._guard.settle()

    def _mutated(self, mutator: Mutator, seed: Seed) -> bytearray:
        body = mutator.mutate(seed)
        descriptors = seed.message.descriptors
        if descriptors and mutator.below(8) == 0:
            # One is missing, or of another segment, or no segment at all.
            descriptors = (*descriptors[::-1], self._odd_descriptor)[mutator.below(2) :][: mutator.below(4)]
        self._try(seed, body, descriptors)
        return body

    def _try(self, seed: Seed, body: bytes | bytearray, descriptors: Sequence[int]) -> None:
        self._number += 1
        self.report.inputs += 1
        self._guard.begin(self._number, body)
        passed = [os.dup(number) for number in descriptors]
        try:
            if seed.message.is_failure:
                refused = isinstance(self._side.decode_failure(bytes(body), passed), WireError)
            else:
                touch(self._side.decode(bytes(body), passed), 0)
                refused = False
        except WireError:
            refused = True
        except BaseException as error:  # noqa: BLE001  # exactly what must not happen
            self.report.add_failure(self._number, seed.message.name, bytes(body), error)
            return
        if refused:
            self.report.refused += 1
        else:
            self.report.values += 1

    def _explore(self, count: int) -> None:
        """Try some inputs under a tracer and go on from those that reach lines in an order no other did."""
        tracer = _Reached()
        for batch in range(-(-count // BATCH)):
            mutator = Mutator(self._seeds, f"{self._seed} explore {batch}")
            self._batch(mutator, min(BATCH, count - batch * BATCH), tracer=tracer)
            self._seeds = [*self._seeds, *tracer.found]
            tracer.found.clear()
        self.report.kept = len(self._seeds)
        self.report.lines = len({line for _, line in tracer.steps})

    def _traced(self, mutator: Mutator, seed: Seed, tracer: _Reached) -> None:
        before = len(tracer.steps)
        sys.settrace(tracer.call)
        body = self._mutated(mutator, seed)
        sys.settrace(None)
        if len(tracer.steps) > before and len(body) <= MAX_KEPT_BYTES:
            tracer.found.append(analyse(seed.message._replace(body=bytes(body)), RAW_CODES))


class _Reached:
    """Steps from line to line of the wire's own code, and what was found to take new ones."""

    def __init__(self) -> None:
        self.found: list[Seed] = []
        self.steps: set[tuple[tuple[str, int], tuple[str, int]]] = set()
        self._folder = os.path.dirname(comfy_env_core.wire.__file__)
        self._last = ("", 0)

    # Any: what sys.settrace wants.
    def call(self, frame: FrameType, event: str, arg: Any) -> Any:
        """A function is entered: follow it if it is one of the wire's."""
        return self._line if frame.f_code.co_filename.startswith(self._folder) else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        here = (frame.f_code.co_filename, frame.f_lineno)
        self.steps.add((self._last, here))
        self._last = here
        return self._line


def touch(value: Any, depth: int) -> None:
    """Read the corners of the arrays in a value: a wrong stride shows as a crash here rather than in a node."""
    if type(value) is numpy.ndarray:  # not by its attributes: a handle would be asked for them
        # Slices, whose bytes are copied as they are: numpy itself refuses some characters.
        value[tuple(slice(0, 1) for _ in value.shape)].tobytes()
        value[tuple(slice(-1, None) for _ in value.shape)].tobytes()
    elif type(value).__name__ == "Tensor":
        value[tuple(slice(0, 1) for _ in value.shape)].clone()
        value[tuple(slice(-1, None) for _ in value.shape)].clone()
    elif type(value) in (list, tuple) and depth < 3:
        for item in value[:8]:
            touch(item, depth + 1)
    elif type(value) is dict and depth < 3:
        for item in list(value.values())[:8]:
            touch(item, depth + 1)


def main(layer: str, seed: str, inputs: int, record: Path) -> None:
    """Run one layer and print its report."""
    logging.disable(logging.CRITICAL)
    for library in ("numpy", "torch", "PIL.Image"):  # what they take is not the message's doing
        if libraries.is_installed(library.partition(".")[0]):
            importlib.import_module(library)
    corpus = Corpus()
    if layer == "bodies":
        report = BodyFuzz(Guard(record, address_space_bytes=BODIES_ADDRESS_SPACE), corpus, seed).run(inputs)
    else:
        guard = Guard(record, address_space_bytes=STREAMS_ADDRESS_SPACE)
        run = {"streams": fuzz_streams, "connections": fuzz_connections}[layer]
        report = run(guard, corpus, seed, inputs)
    print(json.dumps(dataclasses.asdict(report)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
