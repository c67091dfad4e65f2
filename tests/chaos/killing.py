"""Kills a build at moments that were seen in one that was not killed, and looks what a normal start makes of it."""

from __future__ import annotations

import dataclasses
import enum
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator, Sequence

import psutil
from chaos.machine import Machine, Running

from comfy_env_core.environments.store import Workspace


class Victim(enum.Enum):
    BUILDER = "the builder alone"
    ALL = "the builder and all that it started, at once"
    TOOL = "what the builder started, and not itself"


#: The lone builder more often: what it started then has to end by itself.
VICTIMS = (Victim.BUILDER, Victim.ALL, Victim.BUILDER, Victim.TOOL)


@dataclasses.dataclass(frozen=True)
class Build:
    """What is killed. `is_cold`: the caches of uv and rattler are empty at the beginning."""

    is_rebuild: bool
    is_cold: bool

    def __str__(self) -> str:
        return f"{'rebuild' if self.is_rebuild else 'first build'}, {'cold' if self.is_cold else 'warm'}"

    def begin(self, machine: Machine) -> Running:
        """Starts it on a machine where all was well a moment ago."""
        if self.is_cold:
            machine.forget_downloads()
        if self.is_rebuild:
            return machine.rebuilding()
        shutil.rmtree(machine.environment().directory)
        return machine.installing()


@dataclasses.dataclass(frozen=True)
class Step:
    """The number of what a build told, and how long it then took until it told the next thing."""

    number: int
    mark: str
    seconds: float


def rehearse(machine: Machine, build: Build) -> Sequence[Step]:
    """The steps of a build that nobody disturbs, from its process's start to its end."""
    running = build.begin(machine)
    assert running.wait() == 0, running.text
    marks = running.marks()
    ends = [at_s for at_s, _ in marks[1:]] + [marks[-1][0]]
    steps = [
        Step(i, mark, end_s - at_s) for i, ((at_s, mark), end_s) in enumerate(zip(marks, ends, strict=True))
    ]
    return [step for step in steps if step.seconds > 0]


@dataclasses.dataclass
class Outcome:
    """Counts of one build's kills."""

    killed: int = 0
    too_late: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def kill_again_and_again(machine: Machine, build: Build, rounds: int, chance: random.Random) -> Outcome:
    """Kills `rounds` builds: each step in turn, at a random moment of it; the machine's last state is a good one."""
    outcome = Outcome()
    steps = rehearse(machine, build)
    moments = _moments(steps, chance)
    while outcome.killed < rounds and outcome.too_late < 2 * rounds and len(outcome.problems) < 5:
        step, after_s = next(moments)
        victim = VICTIMS[outcome.killed % len(VICTIMS)]
        where = f"{build}, kill {outcome.killed + 1}: {victim.value}, {after_s:.3f} s after {step.mark!r}"
        before = machine.environment().current()
        running = build.begin(machine)
        was_killed = running.await_mark(step.number) and _kill_after(running, victim, after_s)
        running.wait()
        outcome.killed += was_killed
        outcome.too_late += not was_killed
        try:
            look_after(machine, before if build.is_rebuild else None)
        except AssertionError as error:
            outcome.problems.append(f"{where}: {error}\n{running.text}")
            shutil.rmtree(machine.store.root / machine.environment().directory.name, ignore_errors=True)
            machine.start()
    return outcome


def look_after(machine: Machine, before: Workspace | None) -> None:
    """After a kill: nothing goes on, the old environment serves, and a normal start makes everything ready."""
    machine.assert_quiet()
    if before is not None:
        after = machine.serving()
        assert after == before or after.number > before.number, (before, after)
    machine.start()
    machine.serving()
    if before is None:
        machine.assert_tidy()


def _moments(steps: Sequence[Step], chance: random.Random) -> Iterator[tuple[Step, float]]:
    """Every step in turn, so that short ones get their share, and every third time a moment of the whole duration."""
    while True:
        for number, step in enumerate(steps):
            if number % 3 == 2:
                any_step = chance.choices(steps, [one.seconds for one in steps])[0]
                yield any_step, chance.random() * any_step.seconds
            yield step, chance.random() * step.seconds


def _kill_after(running: Running, victim: Victim, after_s: float) -> bool:
    time.sleep(after_s)
    if victim is Victim.TOOL:
        return _kill_a_tool(running)
    if not running.is_running():
        return False
    others = running.descendants() if victim is Victim.ALL else []
    os.kill(running.process.pid, signal.SIGKILL)
    for process in others:
        _kill(process)
    return True


def _kill_a_tool(running: Running) -> bool:
    """The next process that the builder starts, if none runs right now."""
    while running.is_running():
        for process in running.descendants():
            if _kill(process):
                return True
        time.sleep(0.002)
    return False


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True
