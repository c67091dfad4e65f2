"""Kills one of two busy processes again and again: `python -m wire.kill_program SEED ROUNDS`.

This process forks both sides of each round, so that either can be killed and the other be looked at. Prints a JSON
object: `rounds`, `calls` (of the survivors), `problems` (texts), `shmem_growth_bytes`, `orphans` (process ids).
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import random
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from patience import eventually
from wire.kill_traffic import PATIENCE_S, Resources, Traffic

LONGEST_LIFE_S = 0.04
# Longer than the patience of any call: what is still there then hangs.
ROUND_LIMIT_S = 30.0
SHMEM_TOLERANCE_BYTES = 96 << 20
MAX_PROBLEMS = 5


class Side(NamedTuple):
    """A forked process and the pipe with its report."""

    pid: int
    report: int


def main(seed: str, rounds: int) -> None:
    """Run all rounds and print what went wrong."""
    logging.disable(logging.CRITICAL)
    chance = random.Random(seed)
    warm_up()
    before, shmem = Resources().as_dict(), shmem_bytes()
    outcome: dict[str, Any] = {"rounds": 0, "calls": 0, "problems": [], "orphans": []}
    gc.freeze()  # the children need not copy what they never touch
    while outcome["rounds"] < rounds and len(outcome["problems"]) < MAX_PROBLEMS:
        report = run_round(chance, outcome["rounds"])
        outcome["rounds"] += 1
        outcome["calls"] += report.get("calls", 0)
        outcome["problems"] += [f"Round {outcome['rounds']}: {problem}" for problem in report["problems"]]
        outcome["orphans"] += report.get("orphans", [])
    # Others use shared memory on this machine too: what they are just using goes away again.
    eventually(lambda: shmem_bytes() - shmem < SHMEM_TOLERANCE_BYTES)
    outcome["shmem_growth_bytes"] = shmem_bytes() - shmem
    after = Resources().as_dict()
    if after != before:
        outcome["problems"].append(f"The process that forked them had {before}, now {after}")
    print(json.dumps(outcome))


def warm_up() -> None:
    """A conversation inside this process: what the first use of anything takes is not each child's to repeat."""
    sides = [Traffic(sock, seed) for seed, sock in enumerate(socket.socketpair())]
    threads = [threading.Thread(target=side.run_until_lost) for side in sides]
    for thread in threads:
        thread.start()
    # Both ends may wait for each other's reader, who answers here by himself: then that is the end of it.
    eventually(lambda: all(side.calls > 100 for side in sides), PATIENCE_S)
    sides[0].hang_up()
    for thread in threads:
        thread.join()
    for side in sides:
        side.leave_nothing()
        if side.problems:
            raise AssertionError(side.problems)


def run_round(chance: random.Random, number: int) -> dict[str, Any]:
    """Let two processes talk, kill one at a random moment, and see what becomes of the other."""
    left, right = socket.socketpair()
    seeds = chance.randrange(1 << 30), chance.randrange(1 << 30)
    first = fork(lambda report: live(left, seeds[0], report), right)
    second = fork(lambda report: live(right, seeds[1], report), left)
    left.close()
    right.close()
    # The parent's side and the worker's, so to speak, in turn; now and then before they have begun.
    victim, survivor = (first, second) if number % 2 else (second, first)
    if chance.random() < 0.9:
        await_bytes(victim.report)
        await_bytes(survivor.report)
    time.sleep(chance.random() * LONGEST_LIFE_S)
    os.kill(victim.pid, signal.SIGKILL)
    os.waitpid(victim.pid, 0)
    os.close(victim.report)
    report = await_report(survivor)
    os.close(survivor.report)
    return report


def fork(run: Callable[[int], None], other: socket.socket) -> Side:
    """A child that runs it with the writing end of its pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Side(pid, reading)
    try:
        os.close(reading)
        other.close()
        run(writing)
    except BaseException:  # noqa: BLE001  # the last frame of a forked process
        os.write(writing, json.dumps({"problems": [traceback.format_exc()]}).encode())
    finally:
        os._exit(0)


def live(sock: socket.socket, seed: int, report: int) -> None:
    """One side: talk until the other is gone, then say what is left of it."""
    before = Resources()
    before.descriptors -= 1  # the socket, which goes with the connection
    traffic = Traffic(sock, seed)
    del sock
    os.write(report, b"\n")
    traffic.run_until_lost()
    traffic.leave_nothing()
    problems = traffic.problems
    if not eventually(lambda: vars(Resources()) == vars(before)):
        problems.append(f"It had {vars(before)} at the start and has {vars(Resources())} now")
    os.write(report, json.dumps({"calls": traffic.calls, "problems": problems}).encode())


def await_bytes(descriptor: int) -> None:
    """Read the sign that a side is under way."""
    if not select.select([descriptor], [], [], ROUND_LIMIT_S)[0] or not os.read(descriptor, 1):
        raise AssertionError("A side did not begin")


def await_report(side: Side) -> dict[str, Any]:
    """The survivor's report, and its end; what hangs is ended and reported as such."""
    deadline = time.monotonic() + ROUND_LIMIT_S
    content = b""
    while select.select([side.report], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(side.report, 1 << 16)
        if not part:
            break
        content += part
    else:
        os.kill(side.pid, signal.SIGKILL)
        os.waitpid(side.pid, 0)
        return {"problems": [f"The survivor did not end within {ROUND_LIMIT_S:g} s"], "orphans": [side.pid]}
    os.waitpid(side.pid, 0)
    report: dict[str, Any] = json.loads(content.strip() or b'{"problems": ["The survivor died"]}')
    return report


def shmem_bytes() -> int:
    """Shared memory in use on this machine."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1]) * 1024
    raise LookupError("Shmem")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1], int(sys.argv[2]))
