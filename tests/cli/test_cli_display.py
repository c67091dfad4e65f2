"""Text as terminals show it: widths, tables, bars."""

from __future__ import annotations

import io
import re

import pytest

from comfy_env_core.cli import terminal
from comfy_env_core.cli.bars import Bars
from comfy_env_core.cli.progress import Row, Style


def drawn(output: str) -> list[str]:
    """The lines of a terminal after this output; knows newline, carriage return, up, and erasing what is below."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[AJ]|[\r\n]|[^\x1b\r\n]+", output):
        if part == "\x1b[A":
            row -= 1
        elif part == "\x1b[J":
            lines[row:] = [lines[row][:column]]
        elif part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column] + part + lines[row][column + len(part) :]
            column += len(part)
    return lines


def test_bars_are_rewritten_in_place_below_what_is_logged() -> None:
    stream = io.StringIO()
    bars = Bars(stream)
    bars.show(["first 10%", "second"])
    bars.show(["first 20%", "second"])
    bars.write("a log line\n")
    assert drawn(stream.getvalue()) == ["a log line", "first 20%", "second"]
    bars.show(["second"])
    bars.write("another\n")
    bars.show([])
    assert drawn(stream.getvalue()) == ["a log line", "another", ""]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("percent", [None, 0.0, 62.4, 100.0])
def test_a_line_never_reaches_the_edge_of_the_terminal(columns: int, percent: float | None) -> None:
    style = Style(lambda: columns, "#", "-", "...")
    for name in ("short", "ComfyUI-節點-with-a-very-long-name/nodes/mesh"):
        line = style.line(Row(name, "installing: 12 PyPI packages", percent, 3725.0), terminal.width(name))
        assert terminal.width(line) < columns, line
        assert line.endswith("1:02:05")


def test_text_is_cut_by_columns_and_not_by_characters() -> None:
    assert terminal.fit("節點節點節點", 7) == "節點..."
    assert terminal.fit("ab\ncd", 9) == "ab cd"
    assert terminal.fit("abcdef", 2) == ".."
    assert terminal.width("e\u0301") == 1


def test_a_table_wraps_its_last_column_and_keeps_everything_where_nobody_looks() -> None:
    rows = [("mesh", "failed", "There is no such package: " + "x" * 30), ("a", "ready", "")]
    assert list(terminal.lay_out(rows, None)) == [
        f"mesh  failed  There is no such package: {'x' * 30}",
        "a     ready",
    ]
    for room in (30, 50, 60):
        lines = list(terminal.lay_out(rows, room))
        assert all(terminal.width(line) <= max(room, 34) for line in lines)
        assert (
            " ".join(" ".join(lines).split()) == f"mesh failed There is no such package: {'x' * 30} a ready"
        )


def test_a_stream_that_is_no_terminal_gets_no_escape_sequences() -> None:
    assert not terminal.is_interactive(io.StringIO(), {})
    assert terminal.columns(io.StringIO(), {"COLUMNS": "33"}) == 33


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", True), ("ascii", False), ("cp1252", False)])
def test_bars_are_drawn_with_what_the_encoding_has(encoding: str, expected: bool) -> None:
    assert terminal.can_show(io.TextIOWrapper(io.BytesIO(), encoding=encoding), "█░…") == expected
