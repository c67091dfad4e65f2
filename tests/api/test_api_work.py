"""Work that outlasts its request: how it is told, ended, stopped and forgotten."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from patience import PATIENCE_S, eventually

from comfy_env_core.api import work as work_module
from comfy_env_core.api.schema import check, inline_schema
from comfy_env_core.api.work import JobJson, Work, WorkCancelled, WorkFailed, Works
from comfy_env_core.building.errors import BuildCause, BuildError


class Heard:
    """What was told, in order; each checked against its declaration."""

    def __init__(self) -> None:
        self.told: list[JobJson] = []

    def __call__(self, job: JobJson) -> None:
        check(job, inline_schema(JobJson))
        self.told.append(job)

    @property
    def last(self) -> JobJson:
        return self.told[-1]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def run(heard: Heard, function: Callable[[Work], Any], **options: Any) -> JobJson:
    Work("test", "", heard, **options).run(function)
    return heard.last


def raising(error: BaseException) -> Callable[[Work], Any]:
    def function(work: Work) -> None:
        raise error

    return function


def test_a_mistake_of_ours_ends_it_as_failed_and_is_told_as_ours(
    heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    job = run(heard, raising(ZeroDivisionError("by zero")))
    assert (job["state"], job["result"]) == ("failed", None)
    assert job["error"] is not None
    assert (job["error"]["cause"], job["error"]["message"]) == ("internal", "ZeroDivisionError: by zero")
    assert "ZeroDivisionError" in caplog.text


def test_an_error_that_people_can_mend_is_told_in_its_words_with_what_was_achieved(heard: Heard) -> None:
    job = run(
        heard, raising(WorkFailed("config", "Line 3 is wrong.", "Correct it.", {"sites": {"a": "failed"}}))
    )
    assert job["error"] == {"cause": "config", "message": "Line 3 is wrong.", "remedy": "Correct it."}
    assert job["result"] == {"sites": {"a": "failed"}}


def test_a_failed_build_is_told_with_its_cause_and_remedy(heard: Heard) -> None:
    job = run(heard, raising(BuildError(BuildCause.CONFLICT, "They contradict.", "Loosen one.")))
    assert job["error"] == {"cause": "conflict", "message": "They contradict.", "remedy": "Loosen one."}


def test_a_full_disk_is_told_as_one(heard: Heard) -> None:
    job = run(heard, raising(OSError(errno.ENOSPC, "No space left on device", "/somewhere")))
    assert job["error"] is not None
    assert job["error"]["cause"] == "disk_full"
    assert "/somewhere" in job["error"]["message"]


def test_what_its_function_returns_is_the_result_and_the_beginning_is_told_too(heard: Heard) -> None:
    job = run(heard, lambda work: {"freed_bytes": 3})
    assert (job["state"], job["result"], job["error"]) == ("done", {"freed_bytes": 3}, None)
    assert [one["state"] for one in heard.told] == ["running", "done"]


def test_only_what_changes_is_told_and_percent_in_whole_numbers(heard: Heard) -> None:
    def function(work: Work) -> None:
        for number in range(10_000):
            work.report("copying", number / 100)
        work.report("tidying")

    run(heard, function)
    texts = [(one["text"], one["percent"]) for one in heard.told]
    assert len(texts) < 110
    assert texts[-1] == ("tidying", None)


def test_a_function_that_looks_is_stopped_on_request(heard: Heard, gate: threading.Event) -> None:
    def function(work: Work) -> None:
        while not gate.wait(0.001):
            work.check()

    works = Works(heard)
    job_id = works.begin("test", "", function)["job"]["id"]
    work = works.get(job_id)
    assert work is not None
    assert work.cancel()
    assert eventually(lambda: heard.last["state"] == "cancelled")
    assert not work.cancel(), "it has ended"


def test_a_function_that_waits_is_called_back_and_one_that_asks_late_at_once(heard: Heard) -> None:
    called: list[str] = []
    stopped = threading.Event()

    def function(work: Work) -> None:
        work.on_cancel(stopped.set)
        work.on_cancel(lambda: called.append("first"))
        assert stopped.wait(PATIENCE_S)
        work.on_cancel(lambda: called.append("late"))
        raise WorkCancelled

    works = Works(heard)
    work = works.get(works.begin("test", "", function)["job"]["id"])
    assert work is not None
    assert eventually(lambda: bool(work._on_cancel[1:]))
    assert work.cancel()
    assert eventually(lambda: heard.last["state"] == "cancelled")
    assert called == ["first", "late"]


def test_what_cannot_be_stopped_says_so_and_goes_on(heard: Heard, gate: threading.Event) -> None:
    works = Works(heard)
    job = works.begin("test", "", lambda work: gate.wait(PATIENCE_S), can_cancel=False)["job"]
    work = works.get(job["id"])
    assert work is not None
    assert not job["can_cancel"]
    assert not work.cancel()
    gate.set()
    assert eventually(lambda: heard.last["state"] == "done")


def test_one_that_ended_although_it_was_asked_to_stop_has_ended_well(heard: Heard) -> None:
    def function(work: Work) -> str:
        work.cancel()
        return "all done before it was asked"

    assert run(heard, function)["state"] == "done"


def test_the_oldest_that_ended_are_forgotten_and_those_that_run_never(
    heard: Heard, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "_REMEMBERED", 3)
    works = Works(heard)
    running = works.begin("running", "", lambda work: gate.wait(PATIENCE_S))["job"]["id"]
    ids = []
    for _ in range(5):
        ids.append(works.begin("short", "", lambda work: None)["job"]["id"])
        assert eventually(lambda: [one["state"] for one in works.all()].count("running") == 1)
    known = [one["id"] for one in works.all()]
    assert running in known
    assert ids[-1] in known
    assert len(known) <= 4
    assert works.get(ids[0]) is None
