"""Two ends of one connection, in one process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from comfy_env_core.wire import Channel, Connection, IncomingCall

Dispatcher = Callable[[IncomingCall], None]


class Ends(NamedTuple):
    """`left` calls, `right` answers (and the other way round). Each is named for the peer it speaks to."""

    left: Connection
    right: Connection


def echo(call: IncomingCall) -> None:
    """Answers with its arguments."""
    try:
        call.reply(call.args())
    except Exception as error:  # noqa: BLE001
        call.fail(error)


@pytest.fixture
def connect() -> Iterator[Callable[..., Ends]]:
    """Make a pair of connections: `connect(right=dispatcher, left=dispatcher)`."""
    opened: list[Connection] = []

    def make(right: Dispatcher = echo, left: Dispatcher = echo) -> Ends:
        sockets = socket.socketpair()
        ends = Ends(
            Connection(Channel(sockets[0]), dispatcher=left, name="worker mesh"),
            Connection(Channel(sockets[1]), dispatcher=right, name="ComfyUI"),
        )
        for end in ends:
            end.start()
            opened.append(end)
        return ends

    yield make
    for end in opened:
        end.close()
        end.join(5)
