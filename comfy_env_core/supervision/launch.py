"""A worker's process on its way to the first answer: started, greeted, or explained."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfy_env_core.processes import Child, spawn, stop
from comfy_env_core.supervision.errors import WorkerStartError
from comfy_env_core.supervision.output import OnLine, OutputReader
from comfy_env_core.supervision.spec import WorkerSpec
from comfy_env_core.supervision.transports import Transport
from comfy_env_core.wire import PeerGone, WireError, receive_greeting, send_greeting

BOOT = Path(__file__).resolve().parents[1] / "worker" / "boot.py"
# How long a process that closed its connection may take to be gone, and its last output to arrive.
EXIT_GRACE_S = 0.5
OUTPUT_GRACE_S = 0.2


@dataclass(frozen=True)
class Launched:
    """A process that has greeted. `sock` and `child` belong to whoever asked; `facts`: what it said of itself, as JSON
    ("python": its version, "pid", "prefix")."""

    child: Child
    output: OutputReader
    sock: socket.socket
    facts: Mapping[str, Any]


def launch(
    spec: WorkerSpec,
    open_transport: Callable[[], Transport],
    on_line: OnLine,
    timeout_s: float,
) -> Launched:
    """Start the process and exchange greetings. Raises WorkerStartError; nothing is left running then."""
    transport = open_transport()
    try:
        child, output = _spawn(spec, transport, on_line)
        try:
            sock, facts = _greet(spec, transport, child, timeout_s)
        except (OSError, ValueError, WireError) as error:
            if isinstance(error, WireError):
                child.wait(EXIT_GRACE_S)  # it leaves by itself and says why in its log
            stop(child, grace_s=0.5)
            raise _start_error(spec, _describe(error, child, timeout_s), output) from error
        except BaseException:
            stop(child, grace_s=0.5)
            raise
    finally:
        transport.close()
    return Launched(child, output, sock, facts)


def _spawn(spec: WorkerSpec, transport: Transport, on_line: OnLine) -> tuple[Child, OutputReader]:
    try:
        child = spawn(
            [spec.python, str(BOOT), *transport.arguments],
            env=spec.environment(os.environ),
            cwd=None,
            stdin=transport.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=transport.pass_fds,
        )
    except OSError as error:
        problem = f"{str(spec.python)!r} cannot be run: {error.strerror or error}"
        raise _start_error(spec, problem, None) from error
    assert child.popen.stdout is not None
    return child, OutputReader(child.popen.stdout, spec.pack_name, spec.log_path, on_line)


def _greet(
    spec: WorkerSpec, transport: Transport, child: Child, timeout_s: float
) -> tuple[socket.socket, Mapping[str, Any]]:
    deadline = time.monotonic() + timeout_s
    sock = transport.connect(child, timeout_s)
    try:
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        send_greeting(sock, spec.greeting())
        facts = receive_greeting(sock, f"worker {spec.pack_name}")
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock, facts


def _describe(error: Exception, child: Child, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer within {timeout_s:g} s"
    if isinstance(error, (PeerGone, ConnectionError)):
        code = child.wait(EXIT_GRACE_S)
        return f"it ended at once with exit code {code}" if code is not None else f"it hung up: {error}"
    return str(error)


def _start_error(spec: WorkerSpec, problem: str, output: OutputReader | None) -> WorkerStartError:
    tail = output.tail(OUTPUT_GRACE_S) if output is not None else ()
    remedy = "If the lines below do not explain it, rebuild the pack's environment."
    return WorkerStartError(spec.pack_name, problem, tail, spec.log_path, remedy)
