"""Two processes want the same environment, and one is killed: the other goes on from where a clean start would."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
from chaos.killing import Build, rehearse
from chaos.machine import Machine
from effort import Effort


@pytest.mark.parametrize("is_rebuild", [False, True], ids=["first build", "rebuild"])
def test_the_other_finishes_what_a_killed_one_began(
    machine: Machine, is_rebuild: bool, effort: Effort
) -> None:
    machine.start()
    build = Build(is_rebuild, is_cold=False)
    steps, chance = rehearse(machine, build), effort.chance(f"two {is_rebuild}")
    for _ in range(effort.of(short=1, quick=2, full=12)):
        if not is_rebuild:
            shutil.rmtree(machine.environment().directory)
        both = [machine.rebuilding() if is_rebuild else machine.installing() for _ in range(2)]
        victim, survivor = chance.sample(both, 2)
        step = chance.choice(steps)
        if victim.await_mark(step.number):
            time.sleep(chance.random() * step.seconds)
        os.kill(victim.process.pid, signal.SIGKILL)
        victim.wait()
        assert survivor.wait() == 0, survivor.text
        machine.assert_quiet()
        machine.serving()
        if not is_rebuild:
            machine.assert_tidy()
