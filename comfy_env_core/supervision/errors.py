"""Why a worker gave no answer. Every message says what the worker printed last and where the rest is."""

from __future__ import annotations

import signal
from pathlib import Path


class WorkerError(RuntimeError):
    """Base: the process failed, not the node's code."""


class WorkerStartError(WorkerError):
    """The worker did not come up."""

    def __init__(self, pack: str, problem: str, tail: tuple[str, ...], log_path: Path, remedy: str) -> None:
        super().__init__(
            f"The worker process of {pack!r} could not be started: {problem}. {remedy}{_report(tail, log_path)}"
        )
        self.pack = pack
        self.problem = problem
        self.tail = tail
        self.log_path = log_path


class WorkerCrashed(WorkerError):
    """The worker died while calls were open. `exit_code` is negative for a signal, None if it is not known."""

    def __init__(self, pack: str, exit_code: int | None, tail: tuple[str, ...], log_path: Path) -> None:
        self.what = f"The worker process of {pack!r} died: {describe_exit(exit_code)}"
        super().__init__(f"{self.what}. It is started again by the next run.{_report(tail, log_path)}")
        self.pack = pack
        self.exit_code = exit_code
        self.tail = tail
        self.log_path = log_path


class WorkerStopped(WorkerError):
    """The worker was stopped, by us, while a call was open; the message says why."""


class WorkerNotRunning(WorkerStopped):
    """A call came when there was no process, or none any more; nothing of it was sent."""


class WorkerTimedOut(WorkerStopped, TimeoutError):
    """A call took longer than its limit, and the worker was stopped for it."""


def describe_exit(exit_code: int | None) -> str:
    """An exit code in words: "killed by signal SIGSEGV (crash in native code)"."""
    if exit_code is None:
        return "it closed its connection but could not be reaped"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"number {-exit_code}"
    meaning = {
        "SIGSEGV": "a crash in native code",
        "SIGBUS": "a crash in native code",
        "SIGABRT": "native code gave up",
        "SIGKILL": "out of memory, or killed by hand",
    }
    hint = meaning.get(name)
    return f"killed by signal {name}" + (f" ({hint})" if hint else "")


def _report(tail: tuple[str, ...], log_path: Path) -> str:
    if not tail:
        return f" It printed nothing. Log: {log_path}"
    return "\nIts last lines:\n  " + "\n  ".join(tail) + f"\nLog: {log_path}"
