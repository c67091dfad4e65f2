"""The other process of test_wire_other_systems: `windows PORT DIRECTORY`, or `macos DESCRIPTOR`."""

from __future__ import annotations

import gc
import socket
import sys
from pathlib import Path
from typing import Any

import numpy

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from comfy_env_core.wire import Channel, Connection, IncomingCall, SegmentMemory  # noqa: E402


def connect(system: str, where: str) -> socket.socket:
    """Our end of the conversation, with that system's memory calls in place."""
    import fake_darwin
    import fake_kernel32

    from comfy_env_core.wire.segments import _macos, _windows

    if system == "macos":
        fake_darwin.install(fake_darwin.FakeDarwin())
        fake_kernel32.use_system(_macos)
        return socket.socket(fileno=int(where))
    fake_kernel32.install(fake_kernel32.FakeKernel32(Path(sys.argv[3])))
    fake_kernel32.use_system(_windows)
    return socket.create_connection(("127.0.0.1", int(where)))


def main() -> None:
    """Answer until the peer hangs up."""
    kept: list[Any] = []

    def answer(call: IncomingCall) -> None:
        try:
            if call.method == "forget":
                kept.clear()
                gc.collect()
                call.reply(None)
                return
            (array,) = call.args()
            if call.method == "keep":
                kept.append(array)
                call.reply([float(one.sum()) for one in kept])
            elif call.method == "overwrite":
                before = array.copy()
                array[:] = -1.0
                call.reply([float(before.min()), float(before.max())])
            elif call.method == "echo":
                call.reply(array)
            else:
                call.reply(numpy.asarray(array) * 2)
        except Exception as error:  # noqa: BLE001
            call.fail(error)

    sock = connect(sys.argv[1], sys.argv[2])
    connection = Connection(Channel(sock), dispatcher=answer, name="tests", memory=SegmentMemory())
    connection.start()
    connection.attend()
    connection.join()
    connection.memory.close()


main()
