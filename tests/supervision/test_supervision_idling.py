"""Which idle workers have to go, decided without a process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from comfy_env_core.supervision.idling import GIB, IdlePolicy, IdleWorker, SystemMemory, endings
from comfy_env_core.supervision.system_memory import system_memory

HOUR_S = 3600.0
PLENTY = SystemMemory(20 * GIB, 32 * GIB)
#: Less than a tenth of 32 GiB: 1.2 GiB are missing.
SHORT = SystemMemory(2 * GIB, 32 * GIB)


def worker(
    name: str,
    idle_s: float,
    *,
    gib: float = 1.0,
    objects: int = 0,
    has_state: bool = False,
    was_used: bool = True,
) -> IdleWorker:
    return IdleWorker(name, idle_s, int(gib * GIB), objects, has_state, was_used)


@pytest.mark.parametrize(
    ("idle", "memory", "policy", "leaving"),
    [
        pytest.param([worker("a", HOUR_S)], PLENTY, IdlePolicy(), [], id="an hour is no reason"),
        pytest.param([worker("a", 5 * HOUR_S)], PLENTY, IdlePolicy(), ["a"], id="five hours are"),
        pytest.param(
            [worker("a", 99 * HOUR_S)], PLENTY, IdlePolicy(idle_timeout_s=None), [], id="never means never"
        ),
        pytest.param(
            [worker("a", 11, has_state=True)], PLENTY, IdlePolicy(idle_timeout_s=10), ["a"], id="user's time"
        ),
        pytest.param(
            [worker("a", 9 * HOUR_S, objects=1)],
            PLENTY,
            IdlePolicy(),
            [],
            id="held objects keep it past its time",
        ),
        pytest.param(
            [worker("new", 60), worker("old", 600)], SHORT, IdlePolicy(), ["old", "new"], id="oldest first"
        ),
        pytest.param(
            [worker("new", 60), worker("old", 600, gib=2)],
            SHORT,
            IdlePolicy(),
            ["old"],
            id="no more than needed",
        ),
        pytest.param(
            [worker("remembers", 600, gib=2, has_state=True), worker("empty", 60, gib=2)],
            SHORT,
            IdlePolicy(),
            ["empty"],
            id="state goes last",
        ),
        pytest.param(
            [worker("a", 600, gib=8, objects=3)], SHORT, IdlePolicy(), [], id="held objects are never killed"
        ),
        pytest.param([worker("a", 5, gib=8)], SHORT, IdlePolicy(), [], id="used just now"),
        pytest.param(
            [worker("described", 310, was_used=False), worker("used", 310)],
            PLENTY,
            IdlePolicy(),
            ["described"],
            id="nobody wanted its nodes",
        ),
        pytest.param(
            [worker("described", 310, was_used=False)],
            PLENTY,
            IdlePolicy(idle_timeout_s=None),
            [],
            id="never, also for unused ones",
        ),
        pytest.param([], SHORT, IdlePolicy(), [], id="nobody there"),
    ],
)
def test_who_leaves(
    idle: Sequence[IdleWorker], memory: SystemMemory, policy: IdlePolicy, leaving: list[str]
) -> None:
    assert [ending.site_id for ending in endings(idle, memory, policy)] == leaving


def test_the_reason_names_the_time_or_the_memory() -> None:
    (timed,) = endings([worker("a", 11)], PLENTY, IdlePolicy(idle_timeout_s=10))
    (short,) = endings([worker("a", 60, gib=1.5)], SHORT, IdlePolicy())
    assert timed.reason == "it had nothing to do for 10 s"
    assert short.reason == "memory runs short (2.0 of 32.0 GiB available; it had 1.5)"


@pytest.mark.parametrize(
    ("idle", "running", "leaving"),
    [
        pytest.param([worker("new", 60), worker("old", 600)], 3, ["old"], id="one too many"),
        pytest.param([worker("a", 60)], 4, ["a"], id="the others work"),
        pytest.param([worker("a", 60), worker("b", 60)], 2, [], id="as many as may be"),
        pytest.param([worker("a", 60, objects=1)], 3, [], id="held objects"),
        pytest.param([worker("a", 5)], 3, [], id="used just now"),
    ],
)
def test_a_limit_that_is_exceeded_is_returned_to(
    idle: Sequence[IdleWorker], running: int, leaving: list[str]
) -> None:
    """It may be set while more run, and more may have to be started than are allowed."""
    left = endings(idle, PLENTY, IdlePolicy(max_workers=2), running)
    assert [ending.site_id for ending in left] == leaving
    assert all("only 2" in ending.reason for ending in left)


def test_small_machines_have_a_tenth_and_large_ones_four_gigabytes_as_their_limit() -> None:
    assert SystemMemory(0, 8 * GIB).low_bytes == int(0.8 * GIB)
    assert SystemMemory(0, 512 * GIB).low_bytes == 4 * GIB


@pytest.mark.parametrize(
    ("environ", "policy"),
    [
        ({}, IdlePolicy(None, 4 * HOUR_S)),
        ({"COMFY_ENV_MAX_WORKERS": "3", "COMFY_ENV_IDLE_TIMEOUT_S": "90"}, IdlePolicy(3, 90.0)),
        ({"COMFY_ENV_MAX_WORKERS": "0", "COMFY_ENV_IDLE_TIMEOUT_S": "0"}, IdlePolicy(None, None)),
    ],
)
def test_the_users_variables_are_read(environ: dict[str, str], policy: IdlePolicy) -> None:
    assert IdlePolicy.from_environment(environ) == policy


@pytest.mark.parametrize("text", ["many", "-1", "nan"])
def test_a_variable_that_is_no_number_is_named_and_does_nothing(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert IdlePolicy.from_environment({"COMFY_ENV_MAX_WORKERS": text}) == IdlePolicy()
    assert f"COMFY_ENV_MAX_WORKERS='{text}'" in caplog.text


def test_a_containers_limit_counts_where_it_is_below_the_machines(tmp_path: Path) -> None:
    machine = system_memory(tmp_path / "no cgroup")
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 200\n")
    assert system_memory(tmp_path) == SystemMemory(300, 1000)
    (tmp_path / "memory.max").write_text("max\n")
    assert system_memory(tmp_path).total_bytes == machine.total_bytes
