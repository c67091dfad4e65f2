"""The raw other end of a connection, for tests of what a peer of ours would never send."""

from __future__ import annotations

import socket
from array import array

from patience import PATIENCE_S
from wire.layout import HEADER_BYTES, Side, called, connect, framed

from comfy_env_core.wire import IncomingCall, WireError
from comfy_env_core.wire.protocol import HEADER, FrameKind
from comfy_env_core.wire.segments import SegmentMemory

NOTHING = Side().encode("nothing", None).body


class Stranger:
    """The raw other end of a connection: says anything, and reads the frames it gets."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        self.sock.settimeout(PATIENCE_S)
        self.seen: list[IncomingCall] = []
        self._memory = SegmentMemory()
        self.connection = connect(ours, self._memory, self._echo)

    def say(self, frame: bytes, descriptors: tuple[int, ...] = ()) -> None:
        """Send it as it is."""
        self.sock.sendmsg(
            [frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
        )

    def hear(self, kind: FrameKind) -> tuple[int, bytes]:
        """(call id, body) of the next frame of that kind."""
        while True:
            size, found, _, _, call_id = HEADER.unpack(self._exactly(HEADER_BYTES))
            body = self._exactly(size)
            if found == kind:
                return call_id, body

    def close(self) -> None:
        """Hang up and wait for the other side to notice."""
        self.sock.close()
        self.connection.join(PATIENCE_S)
        self.connection.close()
        self._memory.close()

    def _exactly(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            part = self.sock.recv(size - len(content))
            if not part:
                raise ConnectionError("The other side hung up")
            content += part
        return content

    def _echo(self, call: IncomingCall) -> None:
        self.seen.append(call)
        try:
            call.reply(call.args())
        except WireError as error:
            call.fail(error)


def assert_alive(stranger: Stranger) -> None:
    """A call still comes through, both ways."""
    stranger.say(framed(FrameKind.CALL, 4711, called(b"echo", Side().encode("one", [1]).body)))
    while (answer := stranger.hear(FrameKind.REPLY))[0] != 4711:
        pass
    assert Side().decode(answer[1]) == [1]
    call = stranger.connection.call("ask")
    call_id, _ = stranger.hear(FrameKind.CALL)
    stranger.say(framed(FrameKind.REPLY, call_id, NOTHING))
    assert call.result(PATIENCE_S) is None
