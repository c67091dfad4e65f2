"""What several workers do at once: calls and bytes in a second, and what a call costs the host's processor.

usage: python -m benchmarks.throughput [--workers 1,4,16] [--seconds 1.5]
Prints one JSON list: {"workers", "small_calls_per_s", "host_cpu_us_per_call", "in_fresh_GBs"} for each count.

One host thread for each worker, which waits for one answer before it asks again. Bytes: images of 1024×1024×3 float32
that no worker has seen, summed there; the same number of them was sent before, so that the pool is warm.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.benchworker import BenchWorker
from benchmarks.measuring import Figures, print_figures, timed_s
from benchmarks.ours import SMALL

IMAGES, PASSES = 32, 3


def all_at_once(actions: Sequence[Callable[[], None]]) -> None:
    """Run each on a thread of its own and wait for all; the first error of any is raised."""
    errors: list[BaseException] = []

    def guarded(action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  # raised below, on the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def measure_small(workers: Sequence[BenchWorker], duration_s: float) -> Figures:
    """Small calls for a while; calls of all workers together, and the host's processor time for one."""
    counts = [0] * len(workers)
    end = time.perf_counter() + duration_s

    def call_until_end(index: int) -> None:
        while time.perf_counter() < end:
            workers[index].call("echo", value=SMALL)
            counts[index] += 1

    cpu_start, start = time.process_time(), time.perf_counter()
    all_at_once([functools.partial(call_until_end, index) for index in range(len(workers))])
    elapsed_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    return {
        "small_calls_per_s": sum(counts) / elapsed_s,
        "host_cpu_us_per_call": 1e6 * cpu_s / sum(counts),
    }


def measure_images(workers: Sequence[BenchWorker]) -> Figures:
    """GB/s of all workers together, the median of some passes with new images each."""
    image = torch.rand(1, 1024, 1024, 3)

    def pass_s() -> float:
        images = [image.clone() for _ in range(IMAGES)]

        def send(index: int) -> None:
            for value in images[index :: len(workers)]:
                workers[index].call("total", value=value)

        sends = [functools.partial(send, index) for index in range(len(workers))]
        return timed_s(lambda: all_at_once(sends))

    pass_s()
    gigabytes = IMAGES * image.nbytes / 1e9
    return {"in_fresh_GBs": gigabytes / statistics.median(pass_s() for _ in range(PASSES))}


def measure(count: int, duration_s: float) -> Figures:
    with tempfile.TemporaryDirectory() as home:
        workers = [BenchWorker(Path(home) / str(index)) for index in range(count)]
        try:
            all_at_once([worker.start for worker in workers])
            for worker in workers:
                worker.call("echo", value=1)
            return {"workers": count, **measure_small(workers, duration_s), **measure_images(workers)}
        finally:
            all_at_once([worker.stop for worker in workers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,4,16")
    parser.add_argument("--seconds", type=float, default=1.5)
    options = parser.parse_args()
    print_figures([measure(int(count), options.seconds) for count in options.workers.split(",")])


if __name__ == "__main__":
    main()
