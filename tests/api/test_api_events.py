"""What changed, told to every page: gathered, numbered, and never more than a page can take."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import eventually

from comfy_env_core.api.events import (
    CHANGES_EVENT,
    MOST_IN_ONE_EVENT,
    NODES_EVENT,
    ChangesEvent,
    EventFeed,
    NodesEvent,
    Payloads,
)
from comfy_env_core.api.schema import check, schema_of
from comfy_env_core.api.work import Work
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.environments.states import EnvironmentState, SiteState
from comfy_env_core.sites.failure import SiteFailure
from comfy_env_core.sites.status import SiteJson, SiteStatus
from comfy_env_core.sites.worker_status import WorkerJson

THREAD = "comfy-env events"


class Page:
    """Remembers the events; raises or lags behind when a test says so."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.error: Exception | None = None
        self.is_behind = False

    def send(self, event: str, data: Any) -> None:
        if self.error is not None:
            raise self.error
        self.events.append((event, json.loads(json.dumps(data))))

    def changes(self) -> list[Any]:
        return [data for event, data in self.events if event == CHANGES_EVENT]

    def numbers(self) -> list[int]:
        return [data["sequence"] for _, data in self.events]

    def all_of(self, kind: str) -> list[Any]:
        return [one for data in self.changes() for one in data[kind]]

    def sites(self) -> list[str]:
        return [one["id"] for one in self.all_of("sites")]


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def feed(page: Page) -> Iterator[EventFeed]:
    feed = EventFeed(page.send, PAYLOADS, is_behind=lambda: page.is_behind)
    yield feed
    feed.close()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def build(**facts: Any) -> JobSnapshot:
    snapshot = JobSnapshot(
        id="b1",
        environment_id="0123abcd",
        state=EnvironmentState.BUILDING,
        phase=None,
        text="",
        packages_done=0,
        packages_total=0,
        started_at=0.0,
        elapsed_s=0.0,
        error=None,
        log_path=Path("install.log"),
    )
    return dataclasses.replace(snapshot, **facts)


def site(
    id_: str = "pack", environment_id: str | None = None, state: SiteState = SiteState.BUILDING
) -> SiteStatus:
    return SiteStatus(id_, "pack", state, None, None, environment_id, (), None, Path("comfy-env.toml"))


def worker(id_: str = "pack") -> WorkerJson:
    return {
        "site": id_,
        "pack": id_,
        "pid": 1,
        "state": "idle",
        "python": "3.11.7",
        "uptime_s": 2.0,
        "calls": 3,
        "open_calls": 0,
        "queue": 0,
        "errors": 0,
        "objects": 0,
        "cpu_seconds": None,
        "cpu_percent": None,
        "rss_bytes": None,
        "pss_bytes": None,
        "private_bytes": None,
        "vram_bytes": None,
        "idle_s": 1.0,
        "start_duration_s": 0.3,
        "last_end": None,
        "log_path": "pack.log",
    }


PAYLOADS = Payloads(site=lambda id_: site(id_).as_json(), worker=worker)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_event_that_cannot_be_sent_is_a_gap_and_the_next_one_comes(
    feed: EventFeed, page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    page.error = ConnectionError("the page is gone")
    feed.site_changed("lost")
    assert eventually(lambda: "number 1 could not be sent" in caplog.text)
    page.error = None
    feed.site_changed("told")
    assert eventually(lambda: len(page.events) == 1)
    assert page.numbers() == [2] and feed.sequence == 2


def test_a_closed_event_loop_ends_nothing_but_the_event(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    feed = EventFeed(lambda event, data: loop.call_soon_threadsafe(print, event), PAYLOADS)
    feed.site_changed("pack")
    assert eventually(lambda: "Event loop is closed" in caplog.text)
    assert eventually(lambda: threads() == [])
    feed.close()


def test_what_cannot_be_shown_hides_nothing_else_and_is_a_gap(
    page: Page, caplog: pytest.LogCaptureFixture
) -> None:
    def show(site_id: str) -> SiteJson:
        if site_id == "bad":
            raise ValueError("no such thing")
        return site(site_id).as_json()

    feed = EventFeed(page.send, Payloads(site=show))
    feed.site_changed("bad")
    feed.site_changed("good")
    assert eventually(lambda: page.sites() == ["good"])
    assert page.numbers() == [2], "whoever counts sees that something is missing, and asks for everything"
    assert "'bad' changed, but cannot be shown" in caplog.text


def test_a_page_that_takes_nothing_gets_the_newest_of_each_when_it_does(feed: EventFeed, page: Page) -> None:
    page.is_behind = True
    for number in range(1000):
        feed.build_changed(build(packages_done=number))
        feed.site_changed(f"pack-{number % 3}")
    assert threads(), "it looks now and then whether it can go on"
    assert page.events == []
    page.is_behind = False
    assert eventually(lambda: len(page.events) == 1)
    (told,) = page.changes()
    assert [one["packages_done"] for one in told["builds"]] == [999]
    assert [one["id"] for one in told["sites"]] == ["pack-0", "pack-1", "pack-2"]


def test_no_thread_to_be_had_loses_nothing(
    feed: EventFeed, page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        feed.site_changed("first")
    assert "can't start new thread" in caplog.text
    feed.site_changed("second")
    assert eventually(lambda: page.sites() == ["first", "second"])


def test_a_closed_feed_tells_nothing_and_starts_nothing(feed: EventFeed, page: Page) -> None:
    feed.site_changed("waiting")
    feed.close()
    feed.site_changed("late")
    assert eventually(lambda: threads() == [])
    assert page.events == []


# --- what is told ----------------------------------------------------------------------------------------------------


def test_changes_are_gathered_and_the_newest_of_each_is_told(feed: EventFeed, page: Page) -> None:
    work = Work("delete", "0123abcd", feed.job_changed)
    for number in range(200):
        feed.build_changed(build(packages_done=number))
        work.report(f"step {number}")
    feed.worker_changed("pack")
    feed.packs_changed(["one", "two", "one"])
    feed.settings_changed()
    assert eventually(lambda: page.changes() != [] and page.changes()[-1]["settings"])
    (told,) = page.changes()
    check(told, schema_of(ChangesEvent))
    assert [one["packages_done"] for one in told["builds"]] == [199]
    assert [one["text"] for one in told["jobs"]] == ["step 199"]
    assert (told["workers"], told["packs"]) == ([worker()], ["one", "two"])
    assert (told["run"], told["sequence"]) == (feed.run, 1) and feed.sequence == 1


def test_many_changes_are_several_small_events(feed: EventFeed, page: Page) -> None:
    feed.environment_changed("0123abcd")
    for number in range(2 * MOST_IN_ONE_EVENT + 1):
        feed.site_changed(f"pack-{number}")
    assert eventually(lambda: len(page.sites()) == 2 * MOST_IN_ONE_EVENT + 1)
    assert max(len(told["sites"]) for told in page.changes()) <= MOST_IN_ONE_EVENT
    assert page.numbers() == list(range(1, len(page.events) + 1))
    assert page.all_of("environments") == ["0123abcd"], "once"


def test_nodes_come_after_the_changes_that_brought_them_in_one_row_of_numbers(
    feed: EventFeed, page: Page
) -> None:
    feed.nodes_changed("one", ("A", "B"), ["/extensions/one/one.js"])
    feed.nodes_changed("two", ("C",))
    feed.site_changed("one")
    assert eventually(lambda: len(page.events) == 3)
    assert [event for event, _ in page.events] == [CHANGES_EVENT, NODES_EVENT, NODES_EVENT]
    assert page.numbers() == [1, 2, 3]
    told = page.events[1][1]
    check(told, schema_of(NodesEvent))
    assert (told["packs"], told["nodes"]) == (["one"], ["A", "B"])
    assert told["scripts"] == ["/extensions/one/one.js"]


def test_two_runs_are_told_apart() -> None:
    assert EventFeed(lambda event, data: None).run != EventFeed(lambda event, data: None).run


def test_when_nothing_happens_there_is_no_thread(feed: EventFeed, page: Page) -> None:
    assert eventually(lambda: threads() == []), "those of other tests end by themselves"
    feed.site_changed("pack")
    assert eventually(lambda: page.events != [])
    assert eventually(lambda: threads() == [])


# --- as a listener ---------------------------------------------------------------------------------------------------


def test_an_environment_changes_with_its_builds_state_not_with_its_progress(
    feed: EventFeed, page: Page
) -> None:
    feed.on_job(build())
    assert eventually(lambda: page.all_of("environments") == ["0123abcd"])
    feed.on_job(build(packages_done=7))
    assert eventually(lambda: [one["packages_done"] for one in page.all_of("builds")] == [0, 7])
    assert page.all_of("environments") == ["0123abcd"]
    feed.on_job(build(state=EnvironmentState.FAILED))
    assert eventually(lambda: page.all_of("environments") == ["0123abcd"] * 2)


def test_a_site_that_moves_to_another_environment_changes_both(feed: EventFeed, page: Page) -> None:
    feed.on_site(site(environment_id="aaaa0000"))
    feed.on_site(site(environment_id="aaaa0000", state=SiteState.READY))
    assert eventually(lambda: page.all_of("environments") == ["aaaa0000"])
    feed.on_site(site(environment_id="bbbb0000"))
    assert eventually(lambda: page.all_of("environments") == ["aaaa0000", "aaaa0000", "bbbb0000"])


def test_an_environment_changes_when_the_nodes_in_it_fail_and_when_they_are_mended(
    feed: EventFeed, page: Page
) -> None:
    works = site(environment_id="aaaa0000", state=SiteState.READY)
    feed.on_site(works)
    assert eventually(lambda: page.all_of("environments") == ["aaaa0000"])
    failure = SiteFailure("node_import", "It does not import.", "")
    feed.on_site(dataclasses.replace(works, state=SiteState.FAILED, failure=failure))
    assert eventually(lambda: page.all_of("environments") == ["aaaa0000"] * 2)
    feed.on_site(works)
    assert eventually(lambda: page.all_of("environments") == ["aaaa0000"] * 3)
    assert page.sites()[-1] == "pack"
