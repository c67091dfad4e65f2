"""A peer that sends what no peer of ours would: the connection goes on or hangs up with a reason, and nobody waits."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from patience import PATIENCE_S, eventually
from wire.corpus import Mesh
from wire.layout import Side, called, framed, released
from wire.stranger import NOTHING, Stranger, assert_alive

from comfy_env_core.wire import Channel, DecodeError, Handle, PeerGone, WireError
from comfy_env_core.wire.protocol import FrameKind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="passes descriptors and reads /proc")


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    made = Stranger()
    yield made
    made.close()


@pytest.mark.parametrize("kind", [0, 99, 255])
def test_unknown_kind_ends_the_connection_and_every_call_on_it(stranger: Stranger, kind: int) -> None:
    calls = [stranger.connection.call("wait") for _ in range(3)]
    stranger.say(framed(kind, 1, NOTHING))
    for call in calls:
        with pytest.raises(PeerGone, match="is damaged"):
            call.result(PATIENCE_S)
    assert eventually(lambda: not stranger.connection.is_open)


@pytest.mark.parametrize("kind", [FrameKind.REPLY, FrameKind.FAIL])
@pytest.mark.parametrize(
    "body", [b"", b"\xff" * 3, b"\xff" * 16, bytes(4), bytes(4) + b"\xc1", NOTHING[:-1]], ids=bytes.hex
)
def test_answer_that_cannot_be_read_is_the_answer_of_its_call(
    stranger: Stranger, kind: int, body: bytes
) -> None:
    call = stranger.connection.call("wait")
    call_id, _ = stranger.hear(FrameKind.CALL)
    stranger.say(framed(kind, call_id, body))
    with pytest.raises((DecodeError, PeerGone)):
        call.result(PATIENCE_S)


@pytest.mark.parametrize(
    "value", [None, 3, [], {}, {"module": 1}, "text", {"qualname": "ValueError"}], ids=repr
)
def test_failure_that_describes_no_error_is_a_wire_error(stranger: Stranger, value: Any) -> None:
    call = stranger.connection.call("wait")
    call_id, _ = stranger.hear(FrameKind.CALL)
    stranger.say(framed(FrameKind.FAIL, call_id, Side().encode("odd", value).body))
    with pytest.raises(WireError):
        call.result(PATIENCE_S)
    assert_alive(stranger)


@pytest.mark.parametrize("kind", [FrameKind.REPLY, FrameKind.FAIL, FrameKind.CANCEL])
def test_answer_to_a_call_never_made_disturbs_nobody(stranger: Stranger, kind: int) -> None:
    for call_id in (0, 1, 77, (1 << 64) - 1):
        stranger.say(framed(kind, call_id, b"" if kind == FrameKind.CANCEL else NOTHING))
    assert_alive(stranger)


def test_second_answer_to_a_call_disturbs_nobody(stranger: Stranger) -> None:
    call = stranger.connection.call("ask")
    call_id, _ = stranger.hear(FrameKind.CALL)
    for number in (1, 2):
        stranger.say(framed(FrameKind.REPLY, call_id, Side().encode("n", number).body))
    assert call.result(PATIENCE_S) == 1
    assert_alive(stranger)


@pytest.mark.parametrize(
    "entries",
    [
        [[77, 1]],
        [[1 << 63, 1]],
        [[-1, 1]],
        [["x", 1]],
        [[None, None]],
        [[1]],
        [1],
        1,
        None,
        [[[], {}]],
        [[1.5, 1]],
    ],
    ids=repr,
)
def test_release_of_what_was_never_lent_disturbs_nobody(stranger: Stranger, entries: Any) -> None:
    mesh = Mesh()
    stranger.connection.call("keep", [mesh])
    stranger.hear(FrameKind.CALL)
    stranger.say(framed(FrameKind.RELEASE, 0, released(entries)))
    stranger.say(framed(FrameKind.RELEASE, 0, b"\xff" * 9))
    assert_alive(stranger)
    assert len(stranger.connection.lent) == 1


@pytest.mark.parametrize("times", [0, -1, -(1 << 63), 1.5, "1", None], ids=repr)
def test_release_by_an_impossible_count_keeps_nothing_for_ever(stranger: Stranger, times: Any) -> None:
    stranger.connection.call("keep", [Mesh()])
    stranger.hear(FrameKind.CALL)
    stranger.say(framed(FrameKind.RELEASE, 0, released([[1, times]])))
    stranger.say(framed(FrameKind.RELEASE, 0, released([[1, 1]])))
    assert_alive(stranger)
    assert len(stranger.connection.lent) == 0


def test_release_leaves_the_object_as_it_was(stranger: Stranger) -> None:
    mesh = Mesh()
    stranger.connection.call("keep", [mesh])
    stranger.hear(FrameKind.CALL)
    stranger.say(framed(FrameKind.RELEASE, 0, released([[1, 1, True]])))
    assert_alive(stranger)
    assert vars(mesh) == {}


@pytest.mark.parametrize("times", [2, 1 << 63, (1 << 64) - 1])
def test_release_by_a_huge_count_gives_back_once(stranger: Stranger, times: int) -> None:
    stranger.connection.call("keep", [Mesh()])
    stranger.hear(FrameKind.CALL)
    stranger.say(framed(FrameKind.RELEASE, 0, released([[1, times], [1, times]])))
    assert_alive(stranger)
    assert len(stranger.connection.lent) == 0


def test_object_that_comes_home_after_its_release_is_a_decode_error_for_that_call(stranger: Stranger) -> None:
    theirs = Side()
    mesh = Mesh()
    stranger.connection.call("keep", [mesh])
    _, body = stranger.hear(FrameKind.CALL)
    # The name of the method stands in front of the arguments.
    (handle,) = theirs.decode(body[len(called(b"keep", b"")) :])
    assert isinstance(handle, Handle)
    home = theirs.encode("home", [handle]).body
    stranger.say(framed(FrameKind.RELEASE, 0, released([[1, 5]])))
    stranger.say(framed(FrameKind.CALL, 9, called(b"echo", home)))
    call_id, failure = stranger.hear(FrameKind.FAIL)
    assert call_id == 9
    assert isinstance(Side().decode_failure(failure), Exception)
    assert_alive(stranger)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        called(b"echo", b"")[:-1],
        called(b"\xff", NOTHING),
        called(b"echo", b""),
        called(b"echo", b"\xff"),
    ],
    ids=bytes.hex,
)
@pytest.mark.parametrize("kind", [FrameKind.CALL, FrameKind.NOTIFY])
def test_call_that_cannot_be_read_is_an_error_for_its_caller(
    stranger: Stranger, kind: int, body: bytes
) -> None:
    call = stranger.connection.call("wait")
    call_id, _ = stranger.hear(FrameKind.CALL)
    stranger.say(framed(kind, 5, body))
    if kind == FrameKind.CALL:
        assert stranger.hear(FrameKind.FAIL)[0] == 5
    with contextlib.suppress(OSError):  # it may also have hung up on a caller that waits for nothing
        stranger.say(framed(FrameKind.REPLY, call_id, NOTHING))
    try:
        assert call.result(PATIENCE_S) is None
    except PeerGone as gone:
        assert kind == FrameKind.NOTIFY and "is damaged" in str(gone)


@pytest.mark.parametrize(
    "kind",
    [
        FrameKind.CALL,
        FrameKind.REPLY,
        FrameKind.FAIL,
        FrameKind.CANCEL,
        FrameKind.NOTIFY,
        FrameKind.RELEASE,
        99,
    ],
)
@pytest.mark.parametrize("body", [b"", b"\xff" * 12, called(b"echo", NOTHING)], ids=bytes.hex)
def test_descriptors_of_frames_that_want_none_are_closed(stranger: Stranger, kind: int, body: bytes) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for _ in range(10):
        stranger.say(framed(kind, 0, body, 2), (nowhere, nowhere))
        if kind == 99:
            break
    os.close(nowhere)
    if kind != 99:
        assert_alive(stranger)
    stranger.close()

    def closed() -> bool:
        gc.collect()
        return len(os.listdir("/proc/self/fd")) <= before - 2  # the two ends of the connection as well

    assert eventually(closed), os.listdir("/proc/self/fd")


def test_frame_that_announces_much_and_brings_little_takes_little_memory() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    before = peak_bytes()
    theirs.sendall(framed(FrameKind.CALL, 1, b"x" * 100, size=1 << 30))
    theirs.close()
    with pytest.raises(WireError, match="in the middle"):
        channel.receive()
    channel.close()
    assert peak_bytes() - before < 64 << 20


def peak_bytes() -> int:
    """The most memory this process had in use; begins anew with every look."""
    with open("/proc/self/status") as status:
        found = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    return found


def test_peer_that_stops_in_the_middle_of_a_frame_fails_calls_when_it_hangs_up(stranger: Stranger) -> None:
    calls = [stranger.connection.call("wait") for _ in range(3)]
    for _ in calls:  # what is not read when the socket is closed makes another error
        stranger.hear(FrameKind.CALL)
    stranger.say(framed(FrameKind.REPLY, 1, NOTHING, size=1 << 20))
    stranger.sock.close()
    for call in calls:
        with pytest.raises(PeerGone, match="in the middle of a frame"):
            call.result(PATIENCE_S)


def test_no_thread_is_left_of_connections_that_were_damaged() -> None:
    before = threading.active_count()
    for kind in (99, FrameKind.REPLY, FrameKind.RELEASE):
        stranger = Stranger()
        stranger.say(framed(kind, 1, b"\xff" * 20))
        stranger.close()
    assert eventually(lambda: threading.active_count() <= before)
