"""Tracebacks as data, and back: `[file, line, function]` per frame, outermost first."""

from __future__ import annotations

import functools
import os
from types import CodeType, FrameType, TracebackType
from typing import Any

from comfy_env_core.wire.values.payloads import as_list, as_text

MAX_FRAMES = 100
# A code object counts lines in a C int.
MAX_LINE = (1 << 31) - 1


def describe_traceback(trace: TracebackType | None, hide: str) -> list[list[Any]]:
    """At most MAX_FRAMES frames, from both ends. Leading frames in files that start with `hide` are left out."""
    summary: list[list[Any]] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        summary.append([code.co_filename, trace.tb_lineno, code.co_name])
        trace = trace.tb_next
    while hide and len(summary) > 1 and summary[0][0].startswith(hide):
        del summary[0]
    if len(summary) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        summary = summary[:half] + summary[-half:]
    return summary


def rebuild_traceback(frames: Any) -> TracebackType | None:
    """A traceback that shows these files, lines and functions. Raises TypeError or ValueError."""
    trace: TracebackType | None = None
    for frame in reversed(as_list(frames)[:MAX_FRAMES]):
        filename, line, function = as_list(frame, 3)
        place = min(max(line, 1), MAX_LINE) if type(line) is int else 1
        made = _frame_at(_openable(as_text(filename)), place, as_text(function))
        trace = TracebackType(trace, made, made.f_lasti, place)
    return trace


def _openable(filename: str) -> str:
    # Whoever prints a traceback looks for the file, and some Pythons let a name that cannot be one escape.
    try:
        os.fsencode(filename)
    except ValueError:
        filename = ascii(filename)
    return filename.replace("\0", "?")


def _frame_at(filename: str, line: int, function: str) -> FrameType:
    """A frame that claims to stand at that place: a one-line program, moved there, that was left by an error."""
    code = _failing_program().replace(co_filename=filename, co_firstlineno=line, co_name=function)
    try:
        exec(code, {"__name__": filename, "error": _FrameProbe()})
    except _FrameProbe as probe:
        assert probe.__traceback__ is not None and probe.__traceback__.tb_next is not None
        return probe.__traceback__.tb_next.tb_frame
    raise AssertionError("unreachable")


@functools.lru_cache(maxsize=1)
def _failing_program() -> CodeType:
    # Late: only the side that hears of an error needs it, and a worker starts faster without.
    import ast  # noqa: PLC0415

    tree = ast.parse("raise error")
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            # No columns: they would underline the wrong part of the real source line.
            node.col_offset = node.end_col_offset = -1  # type: ignore[attr-defined]
    return compile(tree, "", "exec")


class _FrameProbe(Exception):
    """Raised and caught only to obtain a frame."""
