"""Pages of a log: whole lines, from the end or from anywhere, and never more of the file than is shown."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from comfy_env_core.api import log_file
from comfy_env_core.api.log_file import LONGEST_LINE_BYTES, MOST_PAGE_BYTES, LogFile, LogPage

LINES = 100_000


def tail(path: Path, lines: int, *, is_over: bool = False) -> LogPage:
    with LogFile(path, is_over=is_over) as file:
        return file.tail(lines)


def part(path: Path, offset: int, limit: int, *, is_over: bool = False) -> LogPage:
    with LogFile(path, is_over=is_over) as file:
        return file.range(offset, limit)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "install.log"


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 MB."""
    path = tmp_path_factory.mktemp("log") / "install.log"
    path.write_text("".join(f"{number:06} {'x' * 493}\n" for number in range(LINES)))
    return path


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_log_that_is_not_there_is_said(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(path, is_over=False)


def test_bytes_that_are_no_text_are_shown_as_such_and_offsets_stay_true(path: Path) -> None:
    path.write_bytes(b"ok\n\xff\xfe\x00broken\n\xe4\xb8\n")
    page = tail(path, 10)
    assert page["text"] == "ok\n\ufffd\ufffd\x00broken\n\ufffd\n"
    assert (page["start"], page["end"], page["size"]) == (0, path.stat().st_size, path.stat().st_size)
    assert part(path, 3, 1)["text"] == "\ufffd\ufffd\x00broken\n"


def test_a_log_that_is_cut_off_while_it_is_read_gives_what_is_left(path: Path) -> None:
    path.write_text("one\ntwo\nthree\n")
    with LogFile(path, is_over=False) as file:
        assert file.end == 14
        os.truncate(path, 4)
        page = file.page(0, file.end)
    assert (page["text"], page["end"]) == ("one\n", 4)


def test_a_line_without_end_is_cut(path: Path) -> None:
    path.write_bytes(b"x" * (3 * LONGEST_LINE_BYTES) + b"\nlast\n")
    assert tail(path, 1)["text"] == "last\n"
    offset, pages = 0, 0
    while offset < path.stat().st_size:
        page = part(path, offset, 1000)
        assert page["end"] > offset and len(page["text"]) <= 2 * LONGEST_LINE_BYTES + 1000
        offset, pages = page["end"], pages + 1
    assert pages <= 4


def test_an_offset_behind_the_end_is_an_empty_page(path: Path) -> None:
    path.write_text("one\n")
    page = part(path, 10**9, 100)
    assert (page["start"], page["end"], page["size"], page["text"]) == (4, 4, 4, "")


def test_an_empty_log_is_an_empty_page(path: Path) -> None:
    path.touch()
    for page in (tail(path, 5), part(path, 0, 5), tail(path, 5, is_over=True)):
        assert (page["start"], page["end"], page["text"]) == (0, 0, "")


# --- the last lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "lines", "text"),
    [
        ("one\ntwo\nthree\n", 2, "two\nthree\n"),
        ("one\ntwo\nthree\n", 3, "one\ntwo\nthree\n"),
        ("one\ntwo\nthree\n", 9, "one\ntwo\nthree\n"),
        ("one\n\n\n", 2, "\n\n"),
        ("one\r\ntwo\r\n", 1, "two\r\n"),
    ],
)
def test_the_last_lines_are_whole(path: Path, content: str, lines: int, text: str) -> None:
    path.write_bytes(content.encode())
    page = tail(path, lines)
    assert page["text"] == text
    assert page["end"] - page["start"] == len(text) and page["end"] == page["size"]


def test_a_line_that_is_being_written_is_held_back_until_it_is_ended_or_the_log_is(path: Path) -> None:
    path.write_text("one\ntw")
    assert (tail(path, 5)["text"], tail(path, 5)["end"], tail(path, 5)["size"]) == ("one\n", 4, 6)
    assert part(path, 4, 100)["text"] == ""
    assert tail(path, 5, is_over=True)["text"] == "one\ntw"
    assert tail(path, 1, is_over=True)["text"] == "tw"
    assert part(path, 4, 100, is_over=True)["text"] == "tw"


def test_the_tail_of_a_log_of_50_megabytes_reads_only_the_tail(
    long_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = 0
    original = LogFile._read

    def counted(file: LogFile, offset: int, count: int) -> bytes:
        nonlocal read_bytes
        content = original(file, offset, count)
        read_bytes += len(content)
        return content

    monkeypatch.setattr(LogFile, "_read", counted)
    page = tail(long_log, 1000)
    assert page["text"].splitlines()[0].startswith(f"{LINES - 1000:06}")
    assert page["text"].count("\n") == 1000
    assert read_bytes < 2 * len(page["text"]) + 4 * log_file._BLOCK_BYTES


def test_a_tail_is_never_larger_than_a_page(long_log: Path) -> None:
    page = tail(long_log, 20_000)
    assert MOST_PAGE_BYTES - 501 <= len(page["text"]) <= MOST_PAGE_BYTES
    assert len(page["text"].splitlines()[0]) == 500


# --- parts -----------------------------------------------------------------------------------------------------------


def test_parts_one_after_the_other_are_the_whole(long_log: Path) -> None:
    offset, texts = 0, []
    while (page := part(long_log, offset, 999_999))["text"]:
        assert page["start"] == offset
        offset = page["end"]
        texts.append(page["text"])
    assert "".join(texts) == long_log.read_text()


def test_parts_backwards_are_the_whole_as_well(path: Path) -> None:
    content = "".join(f"{'x' * (number % 97)}\n" for number in range(2000))
    path.write_text(content)
    start, texts = len(content), []
    while start > 0:
        begin = max(0, start - 100)
        page = part(path, begin, start - begin)
        assert page["end"] == start and page["start"] <= begin
        start = page["start"]
        texts.insert(0, page["text"])
    assert "".join(texts) == content


def test_a_part_begins_with_the_line_that_holds_its_offset_and_has_at_least_one(path: Path) -> None:
    path.write_text("first\nsecond\nthird\n")
    assert part(path, 8, 1)["text"] == "second\n"
    assert part(path, 6, 7)["text"] == "second\n"
    assert part(path, 6, 8)["text"] == "second\n", "the third does not end within"
    assert part(path, 0, 18)["text"] == "first\nsecond\n"
    assert part(path, 0, 19)["text"] == "first\nsecond\nthird\n"


# --- which log -------------------------------------------------------------------------------------------------------


def test_another_log_at_the_same_place_has_another_id_although_it_gets_the_same_inode(path: Path) -> None:
    path.write_text("# build 1\nmore\n")
    first = tail(path, 1)["log"]
    with path.open("r+") as file:  # as if it had been deleted, and the next one got its inode
        file.write("# build 2\n")
    assert tail(path, 1)["log"] != first


def test_what_is_appended_leaves_the_id_as_it_is(path: Path) -> None:
    path.write_text("# build 1\n")
    first = tail(path, 1)["log"]
    with path.open("a") as file:
        file.write("x" * 1000 + "\n" + "y")
    assert tail(path, 1)["log"] == first


def test_the_tail_of_50_megabytes_takes_milliseconds(long_log: Path) -> None:
    began_s = time.thread_time()
    tail(long_log, 1000)
    assert time.thread_time() - began_s < 0.03
