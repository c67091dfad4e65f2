"""SIGKILL at any moment of a real build: the next normal start ends with nodes that are ready."""

from __future__ import annotations

import pytest
from chaos.killing import Build, kill_again_and_again
from chaos.machine import Machine
from effort import Effort

BUILDS = [Build(is_rebuild=rebuild, is_cold=cold) for rebuild in (False, True) for cold in (False, True)]


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_a_build_killed_at_any_moment_is_ready_after_a_normal_start(
    machine: Machine, build: Build, effort: Effort
) -> None:
    machine.start()
    rounds = effort.of(short=1, quick=4, full=25)
    outcome = kill_again_and_again(machine, build, rounds, effort.chance(str(build)))
    print(
        f"{build}, seed {effort.seed}: {outcome.killed - len(outcome.problems)} of {outcome.killed} ended ready; "
        f"{outcome.too_late} more builds had ended before their moment came"
    )
    assert not outcome.problems, "\n\n".join(outcome.problems)
    assert outcome.killed >= rounds
    assert machine.rebuilding().wait() == 0
    machine.serving()
    machine.assert_tidy()
