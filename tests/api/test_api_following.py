"""Logs that are followed: what is told to whom, and that nothing looks when nobody follows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import eventually

from comfy_env_core.api.clients import Clients
from comfy_env_core.api.following import (
    LEASE_S,
    LOG_EVENT,
    MOST_EVENT_BYTES,
    Followers,
    Log,
    LogEvent,
)
from comfy_env_core.api.schema import check, schema_of

THREAD = "comfy-env logs"


class Room:
    """Clients, a clock that stands still, and a log. The tests alone look: the thread sleeps until the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.connected = {"page", "other"}
        self.is_behind = False
        self.is_over = False
        self.deaf: set[str] = set()
        self.told: list[tuple[str, LogEvent]] = []
        clients = Clients(self._send, lambda client_id: client_id in self.connected, lambda: self.is_behind)
        self._is_closed = threading.Event()
        self.followers = Followers(
            clients, clock=lambda: self.now, sleep=lambda seconds: self._is_closed.wait()
        )
        self.log = Log("environment", "0123abcd", path, lambda: self.is_over)

    def close(self) -> None:
        self.connected.clear()
        self._is_closed.set()

    def _send(self, event: str, data: Any, client_id: str | None) -> None:
        assert event == LOG_EVENT and client_id is not None
        if client_id in self.deaf:
            raise ConnectionError("it does not listen")
        check(data, schema_of(LogEvent))
        self.told.append((client_id, data))

    def follow(self, client_id: str = "page") -> tuple[str, int]:
        position = self.followers.follow(self.log, client_id)
        return position["log"], position["end"]

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def heard(self, client_id: str = "page") -> str:
        """What the client was told by now, after a look."""
        self.followers.look()
        return "".join(event["text"] for told, event in self.told if told == client_id)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "install.log")
    yield room
    room.close()
    assert eventually(lambda: threads() == [])


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_client_that_cannot_be_told_is_left_out_and_the_other_hears_all(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.write("before\n")
    room.follow("page")
    room.follow("other")
    room.deaf.add("page")
    room.write("one\n")
    assert room.heard("other") == "one\n"
    assert "'page' could not be told" in caplog.text
    room.deaf.clear()
    room.write("two\n")
    assert room.heard("other") == "one\ntwo\n" and room.heard("page") == ""


def test_a_client_that_vanishes_is_told_nothing_more(room: Room) -> None:
    room.follow()
    room.write("one\n")
    assert room.heard() == "one\n"
    room.connected.clear()
    room.write("two\n")
    assert room.heard() == "one\n"


def test_a_lease_that_expires_ends_it_and_one_that_is_renewed_does_not(room: Room) -> None:
    room.follow("page")
    room.follow("other")
    room.now = LEASE_S - 1
    room.follow("other")
    room.now = LEASE_S
    room.write("one\n")
    assert (room.heard("page"), room.heard("other")) == ("", "one\n")
    assert room.follow("page")[1] == len("one\n"), "it begins anew where the other one is"


def test_a_page_that_takes_nothing_is_not_sent_more_and_learns_of_the_gap(room: Room) -> None:
    room.follow()
    room.is_behind = True
    lines = MOST_EVENT_BYTES // 10
    room.write("".join(f"{number:09}\n" for number in range(3 * lines)))
    assert room.heard() == ""
    room.is_behind = False
    text = room.heard()
    assert len(text) <= MOST_EVENT_BYTES and text.endswith(f"{3 * lines - 1:09}\n")
    (_, event) = room.told[0]
    assert event["start"] > 0 and event["end"] == room.path.stat().st_size
    assert text.splitlines()[0] == room.path.read_text()[event["start"] :].splitlines()[0]


def test_a_log_that_is_moved_aside_is_told_to_its_end_and_then_the_next_one(room: Room) -> None:
    room.write("# build 1\n")
    first, _ = room.follow()
    room.write("the end of build 1\n")
    room.path.rename(room.path.with_name("install.log.1"))
    room.write("# build 2\n")
    assert room.heard() == "the end of build 1\n# build 2\n"
    (before, after) = [event for _, event in room.told]
    assert (before["log"], before["start"]) == (first, len("# build 1\n"))
    assert after["log"] != first and after["start"] == 0
    room.write("more\n")
    assert room.heard().endswith("# build 2\nmore\n"), "and no end of build 1 again"


def test_a_log_that_is_deleted_and_begun_anew_is_told_from_its_beginning(room: Room) -> None:
    room.write("# build 1\nmuch, much more than in the next one\n")
    first, _ = room.follow()
    room.path.unlink()
    assert room.heard() == ""
    room.write("# build 2\n")
    assert room.heard() == "# build 2\n"
    assert room.told[0][1]["log"] != first


def test_a_log_that_is_cut_off_is_told_from_its_beginning(room: Room) -> None:
    room.write("# build 1\nmore\n")
    room.follow()
    room.path.write_text("# build 1\n")
    assert room.heard() == "# build 1\n"


def test_a_log_that_cannot_be_read_is_looked_at_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    path = tmp_path / "install.log"
    clients = Clients(lambda event, data, client_id: told.append(data["text"]))
    followers = Followers(clients, sleep=lambda seconds: time.sleep(0.01))
    followed = Log("worker", "pack", path, lambda: False)
    followers.follow(followed, "page")
    path.mkdir()
    assert eventually(lambda: "could not be told" in caplog.text)
    path.rmdir()
    path.write_text("one\n")
    assert eventually(lambda: told == ["one\n"])
    followers.leave(followed, "page")
    assert eventually(lambda: not threads())


# --- what is told ----------------------------------------------------------------------------------------------------


def test_only_what_comes_after_is_told_and_only_whole_lines(room: Room) -> None:
    room.write("before\nhal")
    log, end = room.follow()
    assert end == len("before\n")
    assert room.heard() == ""
    room.write("f\nnext")
    assert room.heard() == "half\n"
    (_, event) = room.told[0]
    assert (event["source"], event["log"]) == ({"kind": "environment", "id": "0123abcd"}, log)
    assert (event["start"], event["end"]) == (end, end + len("half\n"))


def test_the_last_line_is_told_when_the_log_is_over_though_nobody_ended_it(room: Room) -> None:
    room.follow()
    room.write("one\nkilled in the mid")
    assert room.heard() == "one\n"
    room.is_over = True
    assert room.heard() == "one\nkilled in the mid"
    assert room.heard() == "one\nkilled in the mid"


def test_a_log_that_does_not_exist_yet_is_told_from_its_beginning(room: Room) -> None:
    assert room.follow() == ("", 0)
    assert room.heard() == ""
    room.write("# build 1\n")
    assert room.heard() == "# build 1\n"


def test_two_followers_are_told_the_same_from_where_each_began(room: Room) -> None:
    room.follow("page")
    room.write("one\n")
    room.followers.look()
    room.follow("other")
    room.write("two\n")
    assert (room.heard("page"), room.heard("other")) == ("one\ntwo\n", "two\n")


def test_who_left_hears_no_more(room: Room) -> None:
    room.follow("page")
    room.followers.leave(room.log, "other")
    room.write("one\n")
    assert room.heard() == "one\n"
    room.followers.leave(room.log, "page")
    room.write("two\n")
    assert room.heard() == "one\n"


def test_what_is_written_in_a_moment_is_one_event(room: Room) -> None:
    room.follow()
    for number in range(100):
        room.write(f"{number}\n")
    room.heard()
    assert len(room.told) == 1


# --- the thread ------------------------------------------------------------------------------------------------------


def test_one_thread_looks_after_all_while_somebody_follows(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    followers = Followers(
        Clients(lambda event, data, client_id: told.append((data["source"]["id"], data["text"]))),
        sleep=lambda seconds: time.sleep(0.01),
    )
    logs = [Log("worker", name, tmp_path / name, lambda: False) for name in ("one", "two")]
    assert threads() == []
    for followed in logs:
        followers.follow(followed, "page")
        followed.path.write_text(f"of {followed.id}\n")
    assert len(threads()) == 1
    assert eventually(lambda: sorted(told) == [("one", "of one\n"), ("two", "of two\n")])
    for followed in logs:
        followers.leave(followed, "page")
    assert eventually(lambda: threads() == [])
    followers.follow(logs[0], "page")
    assert len(threads()) == 1, "and again when somebody comes back"
    followers.leave(logs[0], "page")
