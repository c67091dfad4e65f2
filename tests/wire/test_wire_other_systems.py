"""Segments on Windows and macOS, with stand-ins for the two systems' calls: the same promises as on Linux."""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fake_darwin
import fake_kernel32
import numpy
import pytest
from fake_darwin import FakeDarwin
from fake_kernel32 import FakeKernel32
from patience import PATIENCE_S
from wirepair import CodecPair, deliver

from comfy_env_core.wire import Channel, Connection, DecodeError, EncodeError, SegmentMemory
from comfy_env_core.wire.segments import Segment, _macos, _posix, _windows
from comfy_env_core.wire.segments import system as systems
from comfy_env_core.wire.segments.memory import OPEN_DESCRIPTORS

MEGABYTE = 1 << 20
PEER = Path(__file__).parents[1] / "other_system_peer.py"


@pytest.fixture
def put_back() -> Iterator[None]:
    """This system's memory calls, when the test is over."""
    modules = (_windows, _macos, _posix)
    before = [dict(vars(module)) for module in modules]
    ours = systems.system
    yield
    gc.collect()
    fake_kernel32.use_system(ours)
    for module, names in zip(modules, before, strict=True):
        vars(module).update(names)
    _windows._tells_writes.cache_clear()


@pytest.fixture
def windows(put_back: None, tmp_path: Path) -> FakeKernel32:
    kernel = FakeKernel32(tmp_path)
    fake_kernel32.install(kernel)
    fake_kernel32.use_system(_windows)
    return kernel


@pytest.fixture
def macos(put_back: None) -> FakeDarwin:
    darwin = FakeDarwin()
    fake_darwin.install(darwin)
    fake_kernel32.use_system(_macos)
    return darwin


@pytest.fixture(params=["windows", "macos"])
def system(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue(request.param)
    return str(request.param)


class Ends(NamedTuple):
    connection: Connection
    process: subprocess.Popen[bytes]


@pytest.fixture
def peer(system: str, tmp_path: Path) -> Iterator[Ends]:
    """A connection to a second process of that system: over TCP, or a pair of sockets."""
    if system == "windows":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            process = subprocess.Popen([sys.executable, str(PEER), system, str(port), str(tmp_path)])
            ours = listener.accept()[0]
    else:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [sys.executable, str(PEER), system, str(theirs.fileno())]
            process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()])
    connection = Connection(Channel(ours), dispatcher=lambda call: None, name="peer", memory=SegmentMemory())
    connection.start()
    yield Ends(connection, process)
    connection.close()
    connection.join(PATIENCE_S)
    process.wait(PATIENCE_S)
    gc.collect()
    connection.memory.close()


def picture(value: float = 1.0, megabytes: int = 2) -> Any:
    return numpy.full(megabytes * MEGABYTE // 8, value)


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def settle(pair: CodecPair) -> None:
    gc.collect()
    pair.settle()


# -- both systems, two processes ---------------------------------------------------------------------------


def test_arrays_go_to_another_process_and_come_back(peer: Ends) -> None:
    for value in (1.0, 2.0, 3.0):
        doubled = peer.connection.call("double", [picture(value)]).result(PATIENCE_S)
        assert doubled.min() == doubled.max() == 2 * value
        doubled[:] = 0.0
    assert peer.connection.memory.statistics().free_bytes, "the arrays did not travel in segments"


def test_what_the_other_process_writes_into_its_input_stays_there_and_does_not_come_back(peer: Ends) -> None:
    array = picture(1.0)
    for value in (1.0, 2.0, 3.0):
        array[:] = value
        assert peer.connection.call("overwrite", [array]).result(PATIENCE_S) == [value, value]
        assert array.min() == value


def test_bytes_the_other_process_keeps_are_not_filled_again(peer: Ends) -> None:
    for count in range(1, 4):
        sums = peer.connection.call("keep", [picture(float(count))]).result(PATIENCE_S)
        assert sums == [(number + 1) * 2.0 * MEGABYTE / 8 for number in range(count)]
    assert peer.connection.memory.statistics().used_bytes == 6 * MEGABYTE
    peer.connection.call("forget", []).result(PATIENCE_S)
    peer.connection.call("double", [1.0]).result(PATIENCE_S)
    assert peer.connection.memory.statistics().used_bytes <= 2 * MEGABYTE


def test_segments_of_a_killed_process_are_still_there_for_who_looks_at_them(peer: Ends) -> None:
    array = peer.connection.call("double", [picture(4.0)]).result(PATIENCE_S)
    peer.process.kill()
    peer.process.wait(PATIENCE_S)
    assert array.min() == array.max() == 8.0


# -- both systems, one process -----------------------------------------------------------------------------


def test_pages_the_last_user_wrote_do_not_hide_the_next_bytes_elsewhere(system: str) -> None:
    pair = CodecPair()
    for value in (1.0, 2.0, 3.0):
        arrived = pair.send(picture(value))
        assert arrived.min() == arrived.max() == value
        arrived[: 1 + int(value) * 1000] = 99.0
        del arrived
        settle(pair)
    assert pair.left.exchange.memory.statistics().free_bytes == 2 * MEGABYTE
    pair.close()


def test_unwritten_array_shows_the_next_bytes_as_well(system: str) -> None:
    pair = CodecPair()
    for value in (1.0, 2.0, 3.0):
        assert pair.send(picture(value))[-1] == value
        settle(pair)
    pair.close()


def test_receivers_of_one_segment_do_not_see_what_the_other_wrote(system: str) -> None:
    pair = CodecPair()
    kept = pair.send(picture(1.0))
    back = pair.send_back(kept)
    again = pair.send(back)
    again[:] = 3.0
    assert kept.max() == 1.0 and back.max() == 1.0
    pair.close()


def test_many_small_arrays_and_views_arrive_as_they_were(system: str) -> None:
    pair = CodecPair()
    base = numpy.arange(250_000.0).reshape(500, 500)
    arrived = pair.send(
        [base, base[3:7], base.T, numpy.zeros((0, 3)), *(numpy.full(900, n) for n in range(50))]
    )
    arrived[0][:] = 5
    assert arrived[1].min() == arrived[2].max() == 5 and arrived[3].shape == (0, 3)
    assert [int(array[0]) for array in arrived[4:]] == list(range(50))
    pair.close()


def test_nothing_is_left_when_all_is_given_back(
    system: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    pair = CodecPair()
    arrived = [pair.send_back(pair.send(picture(float(value)))) for value in range(5)]
    del arrived
    for _ in range(3):
        settle(pair)
    pair.close()
    fake = request.getfixturevalue(system)
    if system == "windows":
        assert not fake.handles and not fake.views and os.listdir(tmp_path) == [".lock"]
    else:
        assert fake.mapped == 0


# -- Windows -----------------------------------------------------------------------------------------------


def test_array_that_was_not_written_is_passed_on_without_a_copy_on_windows(windows: FakeKernel32) -> None:
    first, second = CodecPair(), CodecPair()
    memory = first.left.exchange.memory
    second.left.exchange = second.left.exchange._replace(memory=memory)
    made = first.send_back(picture(4.0))
    arrived = second.send([made, made[:100]])
    assert memory.statistics().used_bytes == 0, "it was copied"
    del made
    settle(first)
    assert arrived[0].min() == 4.0
    arrived[0][:] = 1.0
    back = second.send_back(arrived[0])
    assert back.max() == 1.0 and second.right.exchange.memory.statistics().used_bytes == 2 * MEGABYTE
    first.close()
    second.close()


def test_mapping_that_was_not_written_is_kept_and_a_written_one_is_not(windows: FakeKernel32) -> None:
    pair = CodecPair()
    where = address(pair.send(picture(1.0)))
    settle(pair)
    array = pair.send(picture(2.0))
    assert address(array) == where and where in windows.views
    array[0] = 0
    del array
    settle(pair)
    pair.right.exchange.memory.statistics()
    assert where not in windows.views
    assert pair.send(picture(3.0)).min() == 3.0
    pair.close()


def test_system_that_does_not_tell_writes_costs_copies_and_no_data(
    windows: FakeKernel32, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "tells_writes", False)
    pair = CodecPair()
    for value in (1.0, 2.0):
        arrived = pair.send(picture(value))
        assert arrived.min() == arrived.max() == value
        arrived[5] = 9.0
        assert pair.send_back(arrived)[5] == 9.0
        del arrived
        settle(pair)
    assert _windows.was_written(1 << 40, 1)
    pair.close()


def test_single_written_page_is_found_and_its_neighbours_are_not(windows: FakeKernel32) -> None:
    page = _windows.PAGE_BYTES
    segment = Segment.create(64 * page)
    segment.write(3 * page, memoryview(b"x" * page))
    where = segment.map_privately()
    assert not _windows.was_written(where, 64 * page)
    ctypes.memset(where + 5 * page + 17, 1, 1)
    assert _windows.was_written(where, 64 * page) and _windows.was_written(where + 5 * page + 4000, 10)
    assert not _windows.was_written(where, 5 * page) and not _windows.was_written(where + 6 * page, 58 * page)
    assert ctypes.string_at(where + 3 * page, 2) == b"xx" and not _windows.forget_writes(where, page)
    _windows.unmap(where, 64 * page)
    segment.close()


def test_name_is_gone_with_the_last_handle_and_that_is_said(windows: FakeKernel32) -> None:
    handle = _windows.create(100_000)
    name = _windows.name_of(handle)
    assert _windows.size_of(handle) == 100_000 and len(name) < 100
    where = _windows.map_memory(handle, 100_000, False)
    _windows.close(handle)
    with pytest.raises(OSError, match=r"no such section \(any more\) \(Windows error 2\)"):
        _windows.open_named(name)
    ctypes.memset(where, 7, 100_000)
    _windows.unmap(where, 100_000)


@pytest.mark.parametrize(
    "name",
    ["Global\\comfy-env-10-" + "0" * 32, "Local\\other", "Local\\comfy-env-10-" + "0" * 32 + "\\x", "", 5],
)
def test_names_that_are_no_segments_are_not_opened(windows: FakeKernel32, name: Any) -> None:
    pair = CodecPair()
    encoded = pair.left.encode(picture())
    text = next(iter(windows.handles.values())).name
    body = encoded.body
    assert text.encode() in body
    with pytest.raises((ValueError, TypeError)):
        _windows.open_named(name)
    # one that is of the right form, but not there
    with pytest.raises(DecodeError, match="no such section"):
        pair.right.receive(body.replace(text.encode(), text[:-8].encode() + b"00000000"), 0, [])
    pair.close()


def test_name_that_promises_more_than_there_is_maps_nothing(windows: FakeKernel32) -> None:
    handle = _windows.create(100_000)
    lying = _windows.SectionHandle(handle, _windows.name_of(handle).replace("-186a0-", "-fffff-"))
    with pytest.raises(OSError, match="the section is smaller"):
        _windows.map_memory(lying, _windows.size_of(lying), True)
    _windows.close(handle)


def test_full_page_file_is_an_error_with_a_remedy(windows: FakeKernel32) -> None:
    windows.commit_limit_bytes = MEGABYTE
    pair = CodecPair()
    with pytest.raises(EncodeError, match=r"memory and page file together are used up.*smaller batches"):
        pair.left.encode(picture())


def test_sections_of_more_than_4_gib_can_be_made(windows: FakeKernel32) -> None:
    handle = _windows.create((4 << 30) + 4096)
    assert _windows.size_of(handle) == (4 << 30) + 4096
    where = _windows.map_memory(handle, _windows.size_of(handle), False)
    _windows.unmap(where, _windows.size_of(handle))
    _windows.close(handle)


# -- macOS -------------------------------------------------------------------------------------------------


def test_macos_segment_is_a_snapshot_for_its_receiver(macos: FakeDarwin) -> None:
    segment = Segment.create(100_000)
    assert _macos.size_of(segment.handle or 0) == 114_688  # whole pages of 16 KiB
    segment.write(50_000, memoryview(b"first"))
    where = segment.map_privately()
    segment.write(50_000, memoryview(b"other"))
    assert ctypes.string_at(where + 50_000, 5) == b"first"
    ctypes.memset(where, 1, 100_000)
    assert ctypes.string_at(segment.map_for_writing(), 5) == b"\0" * 5
    _macos.unmap(where, 100_000)
    segment.close()
    assert macos.mapped == 0


def test_macos_refusal_to_copy_a_mapping_is_an_error(
    macos: FakeDarwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_macos, "_remap", lambda: lambda *arguments: 3)
    segment = Segment.create(100_000)
    with pytest.raises(OSError, match="mach_vm_remap returned 3"):
        segment.map_privately()
    segment.close()
    assert macos.mapped == 0


# -- every system ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linux", "windows", "macos"])
def test_segment_that_arrives_again_after_its_descriptor_was_closed_is_mapped(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != "linux":
        request.getfixturevalue(kind)
    monkeypatch.setattr("comfy_env_core.wire.segments.memory.OPEN_DESCRIPTORS", 0)
    assert OPEN_DESCRIPTORS, "many arrays are there"
    pair = CodecPair()
    kept = pair.left.exchange.memory.fill(2 * MEGABYTE)
    kept.segment.write(0, memoryview(b"\0" * 2 * MEGABYTE))
    home = numpy.frombuffer(pair.left.exchange.memory.map(kept), dtype=numpy.uint8)
    first = deliver(pair.left.encode(home), pair.right)
    second = deliver(pair.left.encode(home), pair.right)
    assert first[-1] == second[-1] == 0
    pair.close()
