"""Running a tool so that its output is logged as it comes, and so that it can be stopped at any moment."""

from __future__ import annotations

import collections
import dataclasses
import logging
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.memory_kills import memory_kills
from comfy_env_core.building.report import Report
from comfy_env_core.building.stragglers import Marked, descendants_of
from comfy_env_core.processes import Child, spawn

log = logging.getLogger("comfy-env.building")

_CHECK_EVERY_S = 0.1
_REAP_TIMEOUT_S = 10.0

#: POSIX niceness of a build: about a tenth of the processor's time while something of normal priority wants it.
_NICENESS = 10

#: Lines kept of one command; a compiler may write hundreds of thousands.
_LINES_KEPT = 20_000

#: A line that is longer (minified code, a progress bar without line ends) is cut: no log viewer could show it.
_LONGEST_LINE = 4000

#: Colours and cursor movements: some tools write them even into a pipe.
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


@dataclasses.dataclass(frozen=True)
class Completed:
    """A command that ended by itself. `lines`: what it wrote to stdout and stderr, in order, the last 20,000.

    `returncode` is negative when a signal ended it, as in `subprocess`. `ran_out_of_memory`: it failed, and meanwhile
    the kernel ended a process, one of its own or another, for want of memory. `least_free_bytes`: of the disk of its
    working directory while it ran: a tool that finds the disk full removes what it wrote before anybody can look.
    """

    argv: tuple[str, ...]
    returncode: int
    lines: tuple[str, ...]
    ran_out_of_memory: bool = False
    least_free_bytes: int | None = None

    def tail(self, count: int = 20) -> tuple[str, ...]:
        """The last lines that are not blank."""
        return tuple(line for line in self.lines if line.strip())[-count:]


def run_logged(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None,
    report: Report,
    timeout_s: float,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Runs a command to its end, each line of output going to `report.log` (or to `on_line`, if given, instead).

    `env` is the whole environment. Raises BuildError: CANCELLED when `report.check` says so, TIMED_OUT after
    `timeout_s`, INTERNAL when the program cannot be started. Whatever is raised, the process tree is dead by then.
    A failing command is not an error here: look at `returncode`.
    """
    command = tuple(str(part) for part in argv)
    marked = Marked(env)
    kills_before = memory_kills()
    try:
        child = spawn(
            command, env=marked.environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise BuildError(
            BuildCause.INTERNAL,
            f"Starting {command[0]!r} in {str(cwd)!r} failed: {error.strerror or error}.",
            "Check that the program exists and may be executed, then build again.",
        ) from error
    _give_way(child.pid)
    lines: tuple[str, ...] | None = None
    disk = _LowWater(cwd)
    try:
        lines = _follow(child, report, timeout_s, on_line or report.log, disk)
    finally:
        # Looked for only after trouble: a walk over all processes takes as long as a small command.
        strays: list[psutil.Process] = descendants_of(child.pid) if lines is None else []
        # Also after a normal end: what the tool left running in its group must not outlive it in our prefix.
        child.kill_tree()
        code = child.wait(_REAP_TIMEOUT_S)
        if lines is None or code != 0:
            marked.kill(strays)
    if code is None:
        raise BuildError(
            BuildCause.INTERNAL,
            f"Process {child.pid} ({command[0]!r}) does not end although it was killed.",
            "It is stuck in a driver or on a network disk; a restart of the machine ends it.",
        )
    return Completed(
        command, code, lines, code != 0 and kills_before != memory_kills(), disk.least_free_bytes
    )


class _LowWater:
    """The least free space that was seen on the disk of a directory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self.least_free_bytes: int | None = None

    def look(self) -> None:
        if self._directory is None:
            return
        try:
            free_bytes = shutil.disk_usage(self._directory).free
        except OSError:  # removed meanwhile
            return
        known = self.least_free_bytes
        self.least_free_bytes = free_bytes if known is None else min(known, free_bytes)


def _follow(
    child: Child, report: Report, timeout_s: float, on_line: Callable[[str], None], disk: _LowWater
) -> tuple[str, ...]:
    """Hands lines on until the child has ended and its output is drained."""
    deadline = time.monotonic() + timeout_s
    output: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert child.popen.stdout is not None  # asked for with PIPE
    reader = threading.Thread(
        target=_read, args=(child.popen.stdout, output), name="tool output", daemon=True
    )
    reader.start()
    kept: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
    has_ended = False
    while not has_ended:
        report.check()
        disk.look()
        if time.monotonic() > deadline:
            raise _timed_out(child, timeout_s, tuple(kept)[-20:])
        has_ended = child.wait(0 if not output.empty() else _CHECK_EVERY_S) is not None
        if has_ended:
            # Its group was killed with it, so the pipe closes at once, unless a process left the group with our pipe.
            reader.join(1.0)
        for line in _arrived(output):
            kept.append(line)
            on_line(line)
    return tuple(kept)


def _arrived(output: queue.SimpleQueue[str]) -> Iterator[str]:
    while not output.empty():
        yield output.get()


def _read(stream: IO[bytes], output: queue.SimpleQueue[str]) -> None:
    """Runs in a thread: splits at line ends and at carriage returns, which progress bars use as line ends."""
    pending = b""
    with stream:
        while chunk := os.read(stream.fileno(), 65536):
            *lines, pending = re.split(rb"[\r\n]+", pending + chunk)
            for line in lines:
                _put(line, output)
            if len(pending) > _LONGEST_LINE * 4:  # UTF-8 needs up to four bytes a character
                _put(pending, output)
                pending = b""
    _put(pending, output)


def _put(line: bytes, output: queue.SimpleQueue[str]) -> None:
    text = _ESCAPE.sub("", line.decode("utf-8", "replace")).rstrip()
    if len(text) > _LONGEST_LINE:
        text = f"{text[:_LONGEST_LINE]}… ({len(text) - _LONGEST_LINE} more characters)"
    if text:
        output.put(text)


def _timed_out(child: Child, timeout_s: float, tail: tuple[str, ...]) -> BuildError:
    return BuildError(
        BuildCause.TIMED_OUT,
        f"{child.command[0]!r} was stopped because it had not ended after {timeout_s:.0f} s.",
        "See the log for where it stood; build again if the network was slow.",
        tail=tail,
    )


def _give_way(pid: int) -> None:
    """Builds run beside ComfyUI, often while it executes a workflow: that comes first. Children inherit it."""
    try:
        process = psutil.Process(pid)
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        elif process.nice() < _NICENESS:
            process.nice(_NICENESS)
    except psutil.Error as error:
        log.debug(
            "Process %d keeps its priority: %s", pid, error
        )  # ended already, or the system does not allow it
