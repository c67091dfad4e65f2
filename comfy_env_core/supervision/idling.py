"""Which idle workers have to go, and when: decisions without a process.

A worker is kept warm as long as nobody needs its memory. Three things end an idle one: a time limit of hours, memory
that runs short, and a limit on their number that is exceeded. Of several, the one goes first whose node instances hold
nothing, and among equals the one that was used longest ago. A worker whose objects ComfyUI holds in its cache never
goes: the next prompt would find them dead. It is named in the log instead.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

log = logging.getLogger("comfy-env.supervision")

GIB = 1024**3
#: Nobody comes back to a workflow after so long without noticing a second more.
IDLE_TIMEOUT_S = 4 * 3600.0
#: A worker that has described its nodes waits a while for the first of them: a first start with a hundred packs leaves
#: a hundred of these.
UNUSED_TIMEOUT_S = 300.0
#: Memory runs short when less is available than this share of the machine's, and less than `LOW_BYTES`.
LOW_SHARE = 0.1
LOW_BYTES = 4 * GIB
#: A worker that was used just now is about to be used again: a prompt goes to and fro between workers.
LEAST_IDLE_S = 30.0


class IdlePolicy(NamedTuple):
    """What the user allows. `max_workers`, `idle_timeout_s`: None is no limit."""

    max_workers: int | None = None
    idle_timeout_s: float | None = IDLE_TIMEOUT_S

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> IdlePolicy:
        """`COMFY_ENV_MAX_WORKERS` (0: no limit) and `COMFY_ENV_IDLE_TIMEOUT_S` (0: never).

        What is no number is said and counts as not set.
        """
        workers = _number(environ, "COMFY_ENV_MAX_WORKERS", 0)
        timeout_s = _number(environ, "COMFY_ENV_IDLE_TIMEOUT_S", IDLE_TIMEOUT_S)
        return cls(int(workers) or None, timeout_s or None)


class SystemMemory(NamedTuple):
    """Of the machine, or of the container that we are in."""

    available_bytes: int
    total_bytes: int

    @property
    def low_bytes(self) -> int:
        """What should at least be available."""
        return min(int(self.total_bytes * LOW_SHARE), LOW_BYTES)


class IdleWorker(NamedTuple):
    """- `was_used`: whether it did anything but describe its nodes.
    - `objects`: how many of its objects ComfyUI holds.
    - `has_state`: whether its node instances remember something that a new worker would not know.
    - `private_bytes`: what its end gives back.
    """

    site_id: str
    idle_s: float
    private_bytes: int
    objects: int
    has_state: bool
    was_used: bool = True


class Ending(NamedTuple):
    """A worker that has to go, and the reason in words that complete "was stopped: "."""

    site_id: str
    reason: str


def leaving_order(idle: Sequence[IdleWorker]) -> list[IdleWorker]:
    """Those that may go, the first to go first."""
    free_to_go = [worker for worker in idle if worker.objects == 0]
    return sorted(free_to_go, key=lambda worker: (worker.has_state, -worker.idle_s))


def endings(
    idle: Sequence[IdleWorker], memory: SystemMemory, policy: IdlePolicy, running: int = 0
) -> tuple[Ending, ...]:
    """Who goes now. `idle`: the workers that have nothing to do; `running`: how many there are with the others."""
    available_bytes = memory.available_bytes
    too_many = running - policy.max_workers if policy.max_workers is not None else 0
    leaving: list[Ending] = []
    for worker in leaving_order(idle):
        timeout_s = _timeout_s(worker, policy)
        if timeout_s is not None and worker.idle_s >= timeout_s:
            reason = f"it had nothing to do for {timeout_s:g} s"
        elif available_bytes < memory.low_bytes and worker.idle_s >= LEAST_IDLE_S:
            available, total, own = (
                n / GIB for n in (available_bytes, memory.total_bytes, worker.private_bytes)
            )
            reason = f"memory runs short ({available:.1f} of {total:.1f} GiB available; it had {own:.1f})"
        elif len(leaving) < too_many and worker.idle_s >= LEAST_IDLE_S:
            reason = f"only {policy.max_workers} may run at once"
        else:
            continue
        leaving.append(Ending(worker.site_id, reason))
        available_bytes += worker.private_bytes
    return tuple(leaving)


def _timeout_s(worker: IdleWorker, policy: IdlePolicy) -> float | None:
    if policy.idle_timeout_s is None or worker.was_used:
        return policy.idle_timeout_s
    return min(policy.idle_timeout_s, UNUSED_TIMEOUT_S)


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1
    if value >= 0:
        return value
    log.error("%s=%r is no number of 0 or more; %g is used.", name, text, default)
    return default
