"""The network goes in the middle of a download: a short fault is not noticed, a long one is told, nothing is lost."""

from __future__ import annotations

import time

import pytest
from chaos.conftest import MakeMachine
from chaos.machine import Machine
from chaos.wheel_index import Fault, WheelIndex

#: A silence that uv takes for a fault, and how often it asks again, both shorter than a user has them.
HASTY = {"UV_HTTP_TIMEOUT": "2", "UV_HTTP_RETRIES": "1"}
AS_OFTEN_AS_IT_ASKS = 1000
#: Three attempts of ours with 10 s between them, each with two of uv's for each of three wheels.
LONGEST_S = 120.0

IN_TRANSIT = (Fault.DROP, Fault.RESET, Fault.STALL, Fault.REFUSE)


@pytest.fixture
def machine(make: MakeMachine) -> Machine:
    return make(**HASTY)


@pytest.mark.parametrize("fault", IN_TRANSIT, ids=lambda fault: fault.name.lower())
def test_a_download_that_breaks_once_is_repeated(machine: Machine, index: WheelIndex, fault: Fault) -> None:
    index.break_down(fault, times=2)
    machine.start()
    assert index.hits == 2
    machine.serving()
    machine.assert_tidy()


@pytest.mark.parametrize("fault", [*IN_TRANSIT, Fault.DAMAGE], ids=lambda fault: fault.name.lower())
def test_a_network_that_stays_away_is_told_and_the_next_start_is_ready(
    machine: Machine, index: WheelIndex, fault: Fault
) -> None:
    index.break_down(fault, times=AS_OFTEN_AS_IT_ASKS)
    began = time.monotonic()
    running = machine.installing()
    assert running.wait() == 1, running.text
    assert time.monotonic() - began < LONGEST_S
    assert index.hits
    last = running.lines[-1][1]
    assert ("sha256" if fault is Fault.DAMAGE else "connection") in last, running.text
    index.mend()
    machine.start()
    machine.serving()
    machine.assert_tidy()


def test_a_rebuild_without_a_network_leaves_what_worked(machine: Machine, index: WheelIndex) -> None:
    machine.start()
    before = machine.serving()
    machine.forget_downloads()
    index.break_down(Fault.DROP, times=AS_OFTEN_AS_IT_ASKS)
    running = machine.rebuilding()
    assert running.wait() == 1, running.text
    assert running.text.splitlines()[-1].startswith("network:"), running.text
    assert machine.serving() == before
    index.mend()
    machine.start()
    assert machine.serving() == before
    machine.assert_tidy()
