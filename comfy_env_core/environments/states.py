"""The states of environments, sites and workers as tables: what may follow what, and one function that moves."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Generic, TypeVar


class EnvironmentState(enum.Enum):
    MISSING = "missing"
    QUEUED = "queued"  #: wanted; waiting for a free builder, or for another process that builds the same
    BUILDING = "building"
    VERIFYING = "verifying"
    DONE = "done"  #: filled from a clean prefix, started, and imported what the file asked for
    FAILED = "failed"
    CANCELLED = "cancelled"


class SiteState(enum.Enum):
    UNBUILT = "unbuilt"
    BUILDING = "building"
    DESCRIBING = "describing"  #: the environment is done, a worker imports the nodes
    READY = "ready"
    FAILED = "failed"
    STALE = "stale"  #: file, source or platform changed; the old environment may go on serving


class WorkerState(enum.Enum):
    # Changed twice in every call; enum's own hash is a function in Python. There is one object for each member.
    __hash__ = object.__hash__

    STOPPED = "stopped"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    CRASHED = "crashed"


State = TypeVar("State", bound=enum.Enum)


class IllegalMove(Exception):
    """A state was to be followed by one that cannot follow it: a mistake in our own code."""


class StateTable(Generic[State]):
    """Which state may follow which. Holds no state itself: the owner keeps it and asks `move` for the next."""

    def __init__(self, subject: str, moves: Mapping[State, Collection[State]]) -> None:
        self.subject = subject
        self._moves = {state: frozenset(targets) for state, targets in moves.items()}

    def allows(self, current: State, target: State) -> bool:
        return target in self._moves[current]

    def move(self, current: State, target: State) -> State:
        """`target`, if it may follow `current`; otherwise raises `IllegalMove` naming both."""
        if not self.allows(current, target):
            allowed = ", ".join(sorted(repr(state.value) for state in self._moves[current])) or "nothing"
            raise IllegalMove(
                f"{self.subject} in state {current.value!r} cannot become {target.value!r}; only {allowed} may follow."
            )
        return target


_E, _S, _W = EnvironmentState, SiteState, WorkerState

ENVIRONMENT_MOVES: StateTable[EnvironmentState] = StateTable(
    "An environment",
    {
        _E.MISSING: {_E.QUEUED},
        # Done without building: another process finished the same environment while we waited for its lock.
        _E.QUEUED: {_E.BUILDING, _E.DONE, _E.FAILED, _E.CANCELLED},
        _E.BUILDING: {_E.VERIFYING, _E.FAILED, _E.CANCELLED},
        # Building again: what a damaged cache held is fetched anew.
        _E.VERIFYING: {_E.DONE, _E.FAILED, _E.CANCELLED, _E.BUILDING},
        _E.FAILED: {_E.QUEUED, _E.MISSING},
        _E.CANCELLED: {_E.QUEUED, _E.MISSING},
        # Queued again: somebody asked for a rebuild. Missing: removed to free disk space.
        _E.DONE: {_E.QUEUED, _E.MISSING},
    },
)

SITE_MOVES: StateTable[SiteState] = StateTable(
    "A site",
    {
        # Describing without building: the environment exists already. Ready at once: its description is cached too.
        # Stale at once: an environment of an earlier start serves while the new one is built.
        _S.UNBUILT: {_S.BUILDING, _S.DESCRIBING, _S.READY, _S.STALE, _S.FAILED},
        # Unbuilt again: the build was cancelled. Stale again: cancelled, and the old environment still serves.
        _S.BUILDING: {_S.DESCRIBING, _S.FAILED, _S.UNBUILT, _S.STALE},
        _S.DESCRIBING: {_S.READY, _S.FAILED, _S.STALE},
        _S.READY: {_S.STALE, _S.DESCRIBING, _S.BUILDING, _S.UNBUILT, _S.FAILED},
        _S.STALE: {_S.BUILDING, _S.DESCRIBING, _S.READY, _S.UNBUILT, _S.FAILED},
        _S.FAILED: {_S.BUILDING, _S.DESCRIBING, _S.UNBUILT, _S.STALE},
    },
)

WORKER_MOVES: StateTable[WorkerState] = StateTable(
    "A worker",
    {
        _W.STOPPED: {_W.STARTING},
        _W.STARTING: {_W.IDLE, _W.STOPPING, _W.CRASHED},
        _W.IDLE: {_W.BUSY, _W.STOPPING, _W.CRASHED},
        _W.BUSY: {_W.IDLE, _W.STOPPING, _W.CRASHED},
        _W.STOPPING: {_W.STOPPED, _W.CRASHED},
        _W.CRASHED: {_W.STARTING, _W.STOPPED},
    },
)
