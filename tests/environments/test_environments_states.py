"""The three tables of states: what may follow what."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from comfy_env_core.environments.states import (
    ENVIRONMENT_MOVES,
    SITE_MOVES,
    WORKER_MOVES,
    EnvironmentState,
    IllegalMove,
    SiteState,
    StateTable,
    WorkerState,
)

TABLES: list[tuple[StateTable[Any], type[enum.Enum]]] = [  # Any: three tables of three enums
    (ENVIRONMENT_MOVES, EnvironmentState),
    (SITE_MOVES, SiteState),
    (WORKER_MOVES, WorkerState),
]


def test_an_illegal_move_names_both_states_and_what_would_be_legal() -> None:
    with pytest.raises(IllegalMove) as caught:
        ENVIRONMENT_MOVES.move(EnvironmentState.MISSING, EnvironmentState.DONE)
    assert str(caught.value) == (
        "An environment in state 'missing' cannot become 'done'; only 'queued' may follow."
    )


@pytest.mark.parametrize(("table", "states"), TABLES)
def test_every_state_has_a_row_and_can_be_left_and_reached(
    table: StateTable[Any], states: type[enum.Enum]
) -> None:
    for state in states:
        others = [other for other in states if other is not state]
        assert any(table.allows(state, other) for other in others), state
        assert any(table.allows(other, state) for other in others), state
        assert not table.allows(state, state), state


def test_done_is_reached_through_verification_alone_or_by_somebody_elses_build() -> None:
    ways = {state for state in EnvironmentState if ENVIRONMENT_MOVES.allows(state, EnvironmentState.DONE)}
    assert ways == {EnvironmentState.VERIFYING, EnvironmentState.QUEUED}


def test_every_running_state_of_a_worker_can_crash() -> None:
    for state in set(WorkerState) - {WorkerState.STOPPED, WorkerState.CRASHED}:
        assert WORKER_MOVES.move(state, WorkerState.CRASHED) is WorkerState.CRASHED
