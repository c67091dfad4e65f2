"""The disk is full at some moment of a build: that is said, what worked goes on, and with room again all is well."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.conftest import MakeMachine
from chaos.killing import Build, rehearse
from chaos.machine import Machine
from effort import Effort

SIZE_BYTES = 900 << 20
_MNT_DETACH = 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own; skips where nothing may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, f"size={SIZE_BYTES}".encode()):
        pytest.skip(f"SKIPPED LOUDLY: no disk can be mounted ({os.strerror(ctypes.get_errno())})")
    yield place
    libc.umount2(bytes(place), _MNT_DETACH)


@pytest.fixture
def machine(make: MakeMachine, disk: Path) -> Machine:
    return make(store=disk / "store")


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Takes all the room that there is at the beginning of the block, and gives it back at its end."""
    path = disk / "somebody-else's"
    try:
        fill(path)
        yield
    finally:
        path.unlink()


def fill(path: Path) -> None:
    """In pieces that become smaller: others write meanwhile, so the room is never quite what it was said to be."""
    piece_bytes = shutil.disk_usage(path.parent).free
    with open(path, "wb") as file:
        while piece_bytes >= os.sysconf("SC_PAGE_SIZE"):
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, piece_bytes)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece_bytes //= 2


def test_a_disk_that_is_full_from_the_start_is_said_before_anything_is_fetched(
    machine: Machine, disk: Path
) -> None:
    with filled(disk):
        running = machine.installing()
        assert running.wait() == 1
        assert "disk" in running.lines[-1][1], running.text
    machine.start()
    machine.serving()


@pytest.mark.parametrize("is_rebuild", [False, True], ids=["first build", "rebuild"])
def test_a_disk_that_fills_during_a_build_is_said_and_nothing_is_lost(
    machine: Machine, disk: Path, is_rebuild: bool, effort: Effort
) -> None:
    machine.start()
    build = Build(is_rebuild, is_cold=True)
    steps, chance = rehearse(machine, build), effort.chance(f"disk {is_rebuild}")
    told = 0
    for step in [*steps, *steps][: effort.of(short=2, quick=5, full=2 * len(steps))]:
        before = machine.environment().current()
        running = build.begin(machine)
        if not running.await_mark(step.number):
            continue
        time.sleep(chance.random() * step.seconds)
        with filled(disk):
            code = running.wait()
            if code:
                told += 1
                assert "disk" in running.lines[-1][1], f"after {step.mark!r}:\n{running.text}"
            if is_rebuild:
                after = machine.serving()
                assert code == 0 or after == before
        machine.start()
        machine.serving()
        if not is_rebuild:
            machine.assert_tidy()
    print(f"{build}: {told} builds ended for want of room")
    assert told
