"""Shared memory: warm segments come back, nobody sees what another wrote, nothing is copied twice, nothing is left."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy
import pytest
from patience import PATIENCE_S
from wirepair import CodecPair, deliver

from comfy_env_core.wire import EncodeError
from comfy_env_core.wire.segments import Segment, SegmentMemory, pages
from comfy_env_core.wire.segments.system import system

MEGABYTE = 1 << 20


@pytest.fixture
def pair() -> Iterator[CodecPair]:
    pair = CodecPair()
    yield pair
    gc.collect()
    pair.settle()
    pair.close()


def picture(value: float = 1.0, megabytes: int = 2) -> Any:
    return numpy.full(megabytes * MEGABYTE // 8, value)


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def segments_of(encoded: Any) -> int:
    return len(encoded.descriptors)


def open_segments() -> int:
    gc.collect()
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum("memfd:comfy-env" in os.readlink(link) for link in links if os.path.lexists(link))


def mapped_segments() -> int:
    gc.collect()
    with open("/proc/self/maps") as maps:
        return sum("memfd:comfy-env" in line for line in maps)


# -- what the receiver writes stays with it ----------------------------------------------------------------


def test_pages_the_last_user_wrote_do_not_hide_the_next_bytes(pair: CodecPair) -> None:
    first = pair.send(picture(1.0))
    where = address(first)
    first[:] = 99.0
    del first
    gc.collect()
    pair.settle()
    second = pair.send(picture(2.0))
    assert address(second) == where, "the mapping is not kept, so this test tests nothing"
    assert second.min() == second.max() == 2.0


@pytest.mark.parametrize("writes", ["never", "always", "now and then"])
def test_mapping_shows_each_filling_however_often_it_was_written(pair: CodecPair, writes: str) -> None:
    for turn in range(12):
        array = pair.send(picture(float(turn)))
        assert array.min() == array.max() == turn
        if writes == "always" or (writes == "now and then" and turn % 3 == 2):
            array[turn * 1000] = -1.0
            array[-1 - turn] = -1.0
        part = pair.right.encode(array[turn * 1000 : turn * 1000 + 50_000])
        assert deliver(part, pair.left)[0] == array[turn * 1000]
        del array, part
        gc.collect()
        pair.settle()


def test_a_single_written_page_is_found_among_many(pair: CodecPair) -> None:
    first = pair.send(picture(1.0, 8))
    first[-1] = 99.0
    del first
    gc.collect()
    pair.settle()
    assert pair.send(picture(2.0, 8))[-1] == 2.0


def test_writing_into_a_received_array_changes_neither_the_sender_nor_another_receiver() -> None:
    host, second = CodecPair(), CodecPair()
    second.left.exchange = host.left.exchange
    original = picture(1.0)
    one = host.send(original)
    other = host.send(original)
    one[:] = 5.0
    other[0] = 7.0
    assert original.max() == 1.0 and one.min() == 5.0 and other[1:].max() == 1.0
    host.close()
    second.close()


def test_mapping_in_use_is_not_shared_with_a_second_arrival(pair: CodecPair) -> None:
    kept = pair.send(picture(1.0))
    back = pair.send_back(kept)
    again = pair.send(back)
    again[:] = 3.0
    assert kept.max() == 1.0 and back.max() == 1.0


@pytest.mark.parametrize("has_scan", [True, False], ids=["PAGEMAP_SCAN", "pagemap"])
def test_own_pages_of_a_mapping_are_told_from_shared_ones(
    has_scan: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_scan:
        monkeypatch.setattr(pages, "PAGEMAP_SCAN", 0xC0606611)
    segment = Segment.create(MEGABYTE)
    segment.write(0, memoryview(b"x" * MEGABYTE))
    mapped = segment.map_privately()
    content = memoryview((ctypes.c_ubyte * MEGABYTE).from_address(mapped)).cast("B")
    assert bytes(content[:10]) == b"x" * 10
    assert not pages.has_own_pages(mapped, MEGABYTE)
    content[5 * 4096] = 0
    assert pages.has_own_pages(mapped, MEGABYTE)
    assert not pages.has_own_pages(mapped, 5 * 4096) and pages.has_own_pages(mapped + 5 * 4096, 1)
    system.forget_writes(mapped, MEGABYTE)
    assert not pages.has_own_pages(mapped, MEGABYTE) and content[5 * 4096] == ord("x")
    del content
    system.unmap(mapped, MEGABYTE)
    segment.close()


# -- the pool ----------------------------------------------------------------------------------------------


def test_released_segment_comes_back_to_its_sender_warm(pair: CodecPair) -> None:
    segments, mappings = open_segments(), mapped_segments()
    for value in range(20):
        assert pair.send(picture(value))[0] == value
        gc.collect()
        pair.settle()
    statistics = pair.left.exchange.memory.statistics()
    assert statistics.free_bytes == 2 * MEGABYTE and statistics.used_bytes == 0
    assert open_segments() == segments + 1 and mapped_segments() == mappings + 2


def test_segment_somebody_still_reads_is_not_filled_again(pair: CodecPair) -> None:
    kept = [pair.send(picture(value)) for value in range(5)]
    pair.settle()
    assert [array[0] for array in kept] == [0, 1, 2, 3, 4]
    assert pair.left.exchange.memory.statistics().used_bytes == 10 * MEGABYTE
    part = kept[2][100:200]
    del kept
    gc.collect()
    pair.settle()
    assert [pair.send(picture(9))[0], part[0]] == [9, 2]


def test_pool_stays_below_its_limit_and_empties_when_idle() -> None:
    segments = open_segments()
    memory = SegmentMemory(limit_bytes=3 * MEGABYTE, idle_s=0.05)
    fillings = [memory.fill(MEGABYTE) for _ in range(10)]
    assert memory.statistics().used_bytes == 10 * MEGABYTE
    del fillings
    assert memory.statistics().free_bytes <= 3 * MEGABYTE
    trimmer = memory._trimmer
    assert trimmer is not None
    trimmer.join(PATIENCE_S)
    assert memory.statistics() == (0, 0, 0, 0) and open_segments() == segments


def test_interpreter_without_memfd_create_makes_segments_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """conda's and uv's are built on a glibc older than the function."""
    monkeypatch.delattr(os, "memfd_create")
    segment = Segment.create(MEGABYTE)
    assert segment.handle is not None and system.size_of(segment.handle) == MEGABYTE
    segment.close()


def test_machine_without_shared_memory_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size_bytes: int) -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(system, "create", refuse)
    pair = CodecPair()
    with pytest.raises(EncodeError, match=r"No shared memory for arrays of \d+ bytes.*smaller batches"):
        pair.left.encode([picture(), object()])
    assert len(pair.left.exchange.lent) == 0 and pair.left.exchange.memory.statistics().used_bytes == 0


def test_full_memory_is_an_error_with_a_remedy_and_not_a_bus_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, offset: int, data: memoryview) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(system, "write", refuse)
    pair, segments = CodecPair(), open_segments()
    with pytest.raises(EncodeError, match=r"No memory for arrays.*smaller batches"):
        pair.left.encode(picture())
    pair.close()
    assert open_segments() == segments


def test_forked_child_keeps_the_bytes_it_looks_at(pair: CodecPair) -> None:
    segments = open_segments()
    array = pair.send(picture(1.0))
    pair.right.exchange.memory._before_fork()
    del array
    gc.collect()
    pair.settle()
    assert pair.left.exchange.memory.statistics() == (0, 0, 0, 0), (
        "given back to the system, not filled again"
    )
    assert open_segments() == segments


# -- nothing is copied twice -------------------------------------------------------------------------------


def test_array_that_lives_in_a_segment_goes_home_without_a_copy(pair: CodecPair) -> None:
    sent = pair.left.encode(picture(3.0))
    arrived = deliver(sent, pair.right)
    back = pair.right.encode({"image": arrived, "crop": arrived[1000:5000]})
    assert segments_of(back) == 0 and pair.right.exchange.memory.statistics().used_bytes == 0
    returned = deliver(back, pair.left)
    assert returned["image"][-1] == 3.0 and returned["crop"].shape == (4000,)
    assert numpy.shares_memory(returned["image"], returned["crop"])
    again = pair.left.encode(returned["image"])
    assert pair.left.exchange.memory.statistics().used_bytes == 2 * MEGABYTE
    assert deliver(again, pair.right)[0] == 3.0


def test_array_of_one_worker_is_passed_to_another_without_a_copy() -> None:
    first, second = CodecPair(), CodecPair()
    memory = first.left.exchange.memory
    second.left.exchange = second.left.exchange._replace(memory=memory)
    made = first.send_back(picture(4.0))
    passed_on = second.left.encode([made, made[:3000].reshape(30, 100)])
    assert memory.statistics().used_bytes == 0 and segments_of(passed_on) == 1
    arrived = deliver(passed_on, second.right)
    del made, passed_on
    gc.collect()
    first.settle()
    assert first.right.exchange.memory.statistics().used_bytes == 2 * MEGABYTE, (
        "the second worker still needs it"
    )
    assert arrived[0][-1] == 4.0 and arrived[1].shape == (30, 100)
    del arrived
    gc.collect()
    second.settle()
    gc.collect()
    first.settle()
    assert first.right.exchange.memory.statistics().free_bytes == 2 * MEGABYTE
    first.close()
    second.close()


def test_array_that_was_written_here_is_copied_and_arrives_as_it_is_now(pair: CodecPair) -> None:
    arrived = pair.send(picture(3.0))
    arrived[7] = 8.0
    back = pair.right.encode(arrived)
    assert segments_of(back) == 1
    returned = deliver(back, pair.left)
    assert returned[7] == 8.0 and returned[8] == 3.0


def has_watch() -> bool:
    return system.open_watch() is not None


@pytest.mark.skipif(
    not has_watch(), reason="this kernel does not tell which pages were written (Linux 6.7 does)"
)
def test_array_that_is_sent_again_and_again_is_copied_no_more(pair: CodecPair) -> None:
    array = picture(1.0)
    kept = pair.left.exchange.memory.kept
    for _ in range(2):
        pair.left.encode(array)
    assert kept.size_bytes == 2 * MEGABYTE
    sizes = set()
    for _ in range(5):
        encoded = pair.left.encode(array)
        sizes.add(pair.left.exchange.memory.statistics().used_bytes)
        assert deliver(encoded, pair.right)[0] == 1.0
    # The first copy was lent and never came back; the second is kept and lent again.
    assert sizes == {4 * MEGABYTE}
    array[MEGABYTE // 8] = 2.0
    changed = pair.send(array)
    assert changed[MEGABYTE // 8] == 2.0 and changed[0] == 1.0
    assert pair.send(array)[MEGABYTE // 8] == 2.0
    del array, encoded
    gc.collect()
    assert kept.size_bytes == 0


@pytest.mark.skipif(
    not has_watch(), reason="this kernel does not tell which pages were written (Linux 6.7 does)"
)
def test_watching_a_view_does_not_hide_what_was_written_to_the_whole(pair: CodecPair) -> None:
    array = picture(1.0, 4)
    view = array[MEGABYTE // 8 : 3 * MEGABYTE // 8]
    for _ in range(3):
        assert pair.send(array)[0] == 1.0
    assert pair.send(view)[0] == 1.0
    view[1000] = 2.0
    for _ in range(3):
        assert pair.send(view)[1000] == 2.0
    assert pair.send(array)[MEGABYTE // 8 + 1000] == 2.0
    view[1000] = 3.0
    assert pair.send(array)[MEGABYTE // 8 + 1000] == 3.0 and pair.send(view)[1000] == 3.0


def test_array_in_memory_that_others_can_write_is_copied_each_time(pair: CodecPair) -> None:
    segment = Segment.create(4 * MEGABYTE)
    segment.write(0, memoryview(bytearray(4 * MEGABYTE)))
    here, there = (
        numpy.frombuffer((ctypes.c_ubyte * (4 * MEGABYTE)).from_address(address))
        for address in (segment.map_for_writing(), system.map_memory(segment.handle, 4 * MEGABYTE, False))
    )
    for value in range(1, 5):
        there[1000] = value
        assert [pair.send(here)[1000] for _ in range(3)] == [value] * 3
    assert pair.left.exchange.memory.kept.size_bytes == 0


def test_received_array_that_is_written_and_sent_again_and_again_is_sent_as_it_is(pair: CodecPair) -> None:
    for _ in range(3):  # until the kept mapping is watched
        assert pair.send(picture(1.0))[0] == 1.0
        gc.collect()
        pair.settle()
    array = pair.send(picture(1.0))
    for turn in range(6):
        array[turn * 10_000] = 7.0
        for _ in range(3):
            back = pair.send_back(array)
            assert [back[number * 10_000] for number in range(turn + 1)] == [7.0] * (turn + 1)
            part = pair.send_back(array[turn * 10_000 : turn * 10_000 + 150_000])
            assert part[0] == 7.0


@pytest.mark.skipif(
    not has_watch(), reason="this kernel does not tell which pages were written (Linux 6.7 does)"
)
def test_every_way_to_write_ordinary_memory_is_seen() -> None:
    watch = system.open_watch()
    assert watch is not None
    array = picture(1.0)
    where, size = address(array), array.nbytes
    inner, inner_size = where + 4095 & -4096, size - 8192

    def write_by_system_call() -> None:
        read, write = os.pipe()
        os.write(write, b"\0" * 8)
        os.readv(read, [memoryview(array[5000:5001]).cast("B")])
        os.close(read)
        os.close(write)

    def write_from_another_thread() -> None:
        thread = threading.Thread(target=array.__setitem__, args=(6000, 3.0))
        thread.start()
        thread.join()

    for write in (lambda: array.__setitem__(4000, 5.0), write_by_system_call, write_from_another_thread):
        assert watch.begin(inner, inner_size)
        assert array.sum() and not watch.was_written(inner, inner_size)
        write()
        assert watch.was_written(inner, inner_size)
    assert watch.begin(inner, inner_size)
    watch.end(inner, inner_size)
    assert watch.was_written(inner, inner_size), "memory that is not watched counts as written"


# -- many arrays in one message ----------------------------------------------------------------------------


def test_many_small_arrays_share_one_segment(pair: CodecPair) -> None:
    arrays = [numpy.full((32, 32), float(number)) for number in range(300)]
    encoded = pair.left.encode(arrays)
    assert segments_of(encoded) == 1
    arrived = deliver(encoded, pair.right)
    assert all(numpy.array_equal(one, other) for one, other in zip(arrived, arrays, strict=True))
    arrived[0][:] = 7
    assert arrived[1].max() == 1.0


def test_more_large_arrays_than_descriptors_can_be_passed(pair: CodecPair) -> None:
    arrays = [numpy.full(MEGABYTE // 8, float(number)) for number in range(150)]
    encoded = pair.left.encode(arrays)
    assert segments_of(encoded) <= 128
    assert [array[-1] for array in deliver(encoded, pair.right)] == [float(number) for number in range(150)]


def test_views_that_share_memory_still_do_on_arrival(pair: CodecPair) -> None:
    base = numpy.zeros((400, 400))
    arrived = pair.send([base, base[10:20], base.T, base[::3, ::5], numpy.zeros(3)])
    arrived[0][:] = 1.0
    assert all(view.min() == 1.0 for view in arrived[:4]) and arrived[4].max() == 0
    assert base.max() == 0 and arrived[3].shape == (134, 80)


def test_views_of_distant_parts_do_not_bring_what_lies_between(pair: CodecPair) -> None:
    base = picture(1.0, 64)
    encoded = pair.left.encode([base[:1000], base[-1000:], base[::100]])
    assert pair.left.exchange.memory.statistics().used_bytes < 2 * MEGABYTE or segments_of(encoded) == 1
    first, last = pair.send([base[:1000], base[-1000:]])
    assert first.shape == last.shape == (1000,)


def test_same_array_twice_is_one_array(pair: CodecPair) -> None:
    array = picture()
    one, other = pair.send([array, array])
    assert one is other


def test_side_that_cannot_pass_memory_sends_the_bytes() -> None:
    pair = CodecPair(passes_segments=False)
    encoded = pair.left.encode([picture(5.0), numpy.arange(6).reshape(2, 3).T])
    assert segments_of(encoded) == 0 and len(encoded.body) > 2 * MEGABYTE
    large, small = deliver(encoded, pair.right)
    large[0] = 1
    assert large[1] == 5.0 and small.tolist() == [[0, 3], [1, 4], [2, 5]]
