"""Two ends of one connection, in one process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from patience import PATIENCE_S

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


def answer_own(dispatcher: Dispatcher) -> Dispatcher:
    """Uses of lent objects are answered on a thread, as a host or worker does; the rest goes to the test's
    dispatcher."""

    def answer(call: IncomingCall) -> None:
        try:
            call.reply(call.connection.answer(call))
        except BaseException as error:  # noqa: BLE001
            call.fail(error)

    def dispatch(call: IncomingCall) -> None:
        if call.connection.is_own(call):
            threading.Thread(target=answer, args=(call,), daemon=True).start()
        else:
            dispatcher(call)

    return dispatch


@pytest.fixture
def connect() -> Iterator[Callable[..., Ends]]:
    """Make a pair of connections: `connect(right=dispatcher, left=dispatcher)`."""
    opened: list[Connection] = []

    def make(right: Dispatcher = echo, left: Dispatcher = echo) -> Ends:
        sockets = socket.socketpair()
        ends = Ends(
            Connection(Channel(sockets[0]), dispatcher=answer_own(left), name="worker mesh", here="ComfyUI"),
            Connection(Channel(sockets[1]), dispatcher=answer_own(right), name="ComfyUI", here="worker mesh"),
        )
        for end in ends:
            end.start()
            opened.append(end)
        return ends

    yield make
    for end in opened:
        end.close()
        end.join(PATIENCE_S)
        end.memory.close()
