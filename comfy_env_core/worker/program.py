"""From process start to the loop that serves the host, and the ways out."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
from pathlib import Path

from comfy_env_core.wire.connection import Connection
from comfy_env_core.wire.errors import PeerGone, ProtocolMismatch
from comfy_env_core.wire.frames import Channel
from comfy_env_core.wire.handshake import receive_greeting, send_greeting
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.log_handler import install_log_handler
from comfy_env_core.worker.mainthread import MainThread
from comfy_env_core.worker.service import Service
from comfy_env_core.worker.transport import connect

MANY_FILES = 65536
PACKAGE = str(Path(__file__).resolve().parents[1])


def main(arguments: list[str]) -> None:
    """Run until the host says shutdown or is gone."""
    sys.argv = sys.argv[:1]  # node packs and ComfyUI read it
    sock = connect(arguments)
    prepare_streams()
    allow_many_files()
    configuration = greet(sock)
    install_log_handler(configuration.host_facts.get("log_level"))
    main_thread = MainThread()
    service = Service(configuration, main_thread)
    connection = Connection(
        Channel(sock),
        dispatcher=service.dispatch,
        performer=service.perform,
        name="ComfyUI",
        here=f"worker {configuration.pack_name}",
        lost=_Lost(main_thread).leave,
        hide=PACKAGE,
        codecs=configuration.codecs(),
    )
    service.attach(connection)
    connection.start()
    main_thread.run(connection)


def prepare_streams() -> None:
    """Whatever is printed reaches the host's log line by line; a crash in C leaves its stack there."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable(file=sys.stderr, all_threads=True)


def allow_many_files() -> None:
    """An array that ComfyUI keeps is a descriptor here; the usual limit of 1024 is meant for programs that ask."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def greet(sock: socket.socket) -> Configuration:
    """Exchange greetings; a host of another version is told ours before we leave."""
    ours = {"python": ".".join(map(str, sys.version_info[:3])), "pid": os.getpid(), "prefix": sys.prefix}
    try:
        facts = receive_greeting(sock, "ComfyUI")
    except ProtocolMismatch:
        send_greeting(sock, ours)
        raise
    send_greeting(sock, ours)
    return Configuration.from_greeting(facts)


class _Lost:
    """What to do when the connection ends."""

    def __init__(self, main_thread: MainThread) -> None:
        self._main_thread = main_thread

    def leave(self, gone: PeerGone) -> BaseException:
        """Die at once with everything we started, unless we were told to leave in our own time."""
        if not self._main_thread.is_stopping:
            sys.stderr.flush()
            if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
            os._exit(1)
        return gone
