"""Calls, their ends, and what happens when the peer is gone, of another version, or talks nonsense."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from patience import PATIENCE_S

from comfy_env_core.wire import (
    CallTimeout,
    Channel,
    Connection,
    EncodeError,
    FrameError,
    IncomingCall,
    PeerGone,
    ProtocolMismatch,
    receive_greeting,
    send_greeting,
)
from comfy_env_core.wire.protocol import HEADER, FrameKind


def never(call: IncomingCall) -> None:
    """Keeps the caller waiting."""


def test_end_of_the_peer_fails_every_pending_call(connect: Callable[..., Any]) -> None:
    left, right = connect(right=never)
    calls = [left.call("wait") for _ in range(5)]
    right.close()
    for call in calls:
        with pytest.raises(PeerGone, match=r"[Ww]orker mesh closed the connection"):
            call.result(PATIENCE_S)
    with pytest.raises(PeerGone):
        left.call("later").result(PATIENCE_S)
    left.notify("later")


def test_reason_of_the_supervisor_replaces_the_bare_news() -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(Channel(ours), dispatcher=never, name="x", lost=lambda gone: OSError("exploded"))
    connection.start()
    call = connection.call("wait")
    theirs.close()
    with pytest.raises(OSError, match="exploded"):
        call.result(PATIENCE_S)
    connection.join(PATIENCE_S)


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        HEADER.pack(1 << 31, 1, 0, 0, 1),
        HEADER.pack(0, 9, 0, 0, 1),
        HEADER.pack(4, 2, 0, 9, 1),
    ],
    ids=["http", "too large", "unknown kind", "too many segments"],
)
def test_bytes_that_are_no_frame_end_the_connection_with_a_reason(noise: bytes) -> None:
    ours, theirs = socket.socketpair()
    connection = Connection(Channel(ours), dispatcher=never, name="worker mesh")
    connection.start()
    call = connection.call("wait")
    theirs.sendall(noise + b"0000")
    with pytest.raises(PeerGone, match="is damaged"):
        call.result(PATIENCE_S)
    theirs.close()
    connection.join(PATIENCE_S)


def test_end_in_the_middle_of_a_frame_is_damage() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.sendall(HEADER.pack(100, 1, 0, 0, 1) + b"half")
    theirs.close()
    with pytest.raises(FrameError, match="in the middle"):
        channel.receive()
    channel.close()


def test_message_above_the_limit_is_refused_before_it_is_sent() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours, max_frame_bytes=1000)
    with pytest.raises(FrameError, match="1001 bytes is larger than the limit of 1000"):
        channel.send(FrameKind.CALL, 1, b"x" * 1001)
    channel.close()
    theirs.close()


@pytest.mark.parametrize("size", [0, 1, 65519, 65520, 65521, 70000, 1_000_000])
def test_frames_of_all_sizes_arrive_whole_and_in_order(size: int) -> None:
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours), Channel(theirs)
    body = os.urandom(size)
    thread = threading.Thread(
        target=lambda: [sender.send(FrameKind.CALL, number, body) for number in range(3)], daemon=True
    )
    thread.start()
    for number in range(3):
        frame = receiver.receive()
        assert frame is not None and (frame.call_id, bytes(frame.body)) == (number, body)
    thread.join()
    sender.close()
    assert receiver.receive() is None
    receiver.close()


def test_other_protocol_version_is_named_on_both_sides() -> None:
    ours, theirs = socket.socketpair()
    send_greeting(theirs, {}, protocol=99)
    with pytest.raises(
        ProtocolMismatch, match=r"worker x speaks protocol 99.*this side speaks 1.*Restart ComfyUI"
    ):
        receive_greeting(ours, "worker x")
    theirs.sendall(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(ProtocolMismatch, match="not a comfy-env process"):
        receive_greeting(ours, "worker x")
    theirs.close()
    with pytest.raises(PeerGone):
        receive_greeting(ours, "worker x")
    ours.close()


def test_result_can_be_waited_for_again_after_a_timeout(connect: Callable[..., Any]) -> None:
    held: list[IncomingCall] = []
    left, _ = connect(right=held.append)
    call = left.call("wait", timeout_s=0.05)
    with pytest.raises(CallTimeout, match=r"did not answer 'wait' within 0.05 s"):
        call.result()
    held[0].reply(4)
    assert call.result(PATIENCE_S) == 4 and call.done()


def test_cancel_reaches_the_other_side_and_the_call_stays_open(connect: Callable[..., Any]) -> None:
    arrived, told = threading.Event(), threading.Event()
    held: list[IncomingCall] = []

    def hold(call: IncomingCall) -> None:
        call.on_cancel = told.set
        held.append(call)
        arrived.set()

    left, _ = connect(right=hold)
    call = left.call("wait")
    assert arrived.wait(PATIENCE_S)
    call.cancel()
    assert held[0].cancelled.wait(PATIENCE_S) and told.wait(PATIENCE_S) and not call.done()
    held[0].reply("late")
    assert call.result(PATIENCE_S) == "late"
    call.cancel()


def test_result_that_cannot_be_sent_is_the_callers_error(connect: Callable[..., Any]) -> None:
    nested: Any = ()
    for _ in range(300):
        nested = (nested,)
    left, _ = connect(right=lambda call: call.reply(nested))
    with pytest.raises(Exception, match="nested deeper than") as caught:
        left.call("x").result(PATIENCE_S)
    assert type(caught.value).__qualname__ == "EncodeError"
    with pytest.raises(EncodeError):
        left.call("x", nested)


def test_calls_cross_each_other(connect: Callable[..., Any]) -> None:
    ends: list[Any] = []

    def ask_back(call: IncomingCall) -> None:
        threading.Thread(
            target=lambda: call.reply(ends[0].right.call("echo", [7]).result(PATIENCE_S)), daemon=True
        ).start()

    ends.append(connect(right=ask_back))
    calls = [ends[0].left.call("ask") for _ in range(20)]
    assert [call.result(PATIENCE_S) for call in calls] == [[7]] * 20


def test_many_threads_share_a_connection(connect: Callable[..., Any]) -> None:
    left, _ = connect()
    failures: list[Any] = []

    def work(number: int) -> None:
        for count in range(50):
            value = [number, count, "x" * (count * 997)]
            if left.call("echo", value).result(PATIENCE_S) != value:
                failures.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_callbacks_are_called_once_now_or_later(connect: Callable[..., Any]) -> None:
    held: list[IncomingCall] = []
    left, _ = connect(right=held.append)
    called: list[str] = []
    happened = threading.Event()
    call = left.call("wait")
    call.add_done_callback(lambda _: called.append("first"))
    call.add_done_callback(lambda _: 1 / 0)
    call.add_done_callback(lambda _: happened.set())
    while not held:
        time.sleep(0.001)
    held[0].reply(1)
    assert happened.wait(PATIENCE_S)
    call.add_done_callback(lambda _: called.append("late"))
    assert called == ["first", "late"]
    assert left.call("x").done() is False


def test_mistake_in_a_dispatcher_fails_that_call_and_nothing_else(
    connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(call: IncomingCall) -> None:
        if call.method == "bad":
            raise ZeroDivisionError("in the dispatcher")
        call.reply("fine")

    left, _ = connect(right=break_down)
    with pytest.raises(ZeroDivisionError, match="in the dispatcher"):
        left.call("bad").result(PATIENCE_S)
    left.notify("bad")
    assert left.call("good").result(PATIENCE_S) == "fine"
    assert "could not be handled" in caplog.text
