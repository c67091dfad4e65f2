"""Exceptions as data, and back, with the traceback of the process they happened in.

`describe_error` gives: `module`, `qualname`, `bases` (names of builtin exceptions it derives from, nearest
first), `args` (list, or None if they are not plain), `text` (str of it), `attributes` (plain ones), `notes`,
`frames` ([file, line, function], outermost first), `cause`, `context` (the same again, or None),
`suppress_context`.
"""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, NamedTuple

MAX_FRAMES = 100
MAX_CHAIN = 10
PLAIN_TYPES = (type(None), bool, int, float, str, bytes)
# Raised in the caller these would end its thread, its event loop or ComfyUI instead of failing a node.
NEVER_AS_THEMSELVES = (StopIteration, StopAsyncIteration)


class RemoteError(Exception):
    """Base of rebuilt exceptions whose class is not a builtin one. Module and qualname are the original's."""


class RemoteOrigin(NamedTuple):
    """Where a rebuilt exception came from."""

    module: str
    qualname: str
    text: str


def remote_origin(error: BaseException) -> RemoteOrigin | None:
    """The origin of an exception that `rebuild_error` made, None for any other."""
    origin = getattr(error, "__comfy_env_origin__", None)
    return origin if isinstance(origin, RemoteOrigin) else None


def describe_error(error: BaseException, *, hide: str = "", depth: int = 0) -> dict[str, Any]:
    """Plain data about an exception. Leading frames in files that start with `hide` are left out."""
    kind = type(error)
    chained = depth < MAX_CHAIN
    return {
        "module": kind.__module__,
        "qualname": kind.__qualname__,
        "bases": [base.__name__ for base in kind.__mro__ if _builtin_exception(base.__name__) is base],
        "args": list(error.args) if all(_is_plain(item) for item in error.args) else None,
        "text": _text_of(error),
        "attributes": _plain_attributes(error),
        "notes": [str(note) for note in getattr(error, "__notes__", None) or ()],
        "frames": _frames(error.__traceback__, hide),
        "cause": describe_error(error.__cause__, hide=hide, depth=depth + 1)
        if error.__cause__ and chained
        else None,
        "context": describe_error(error.__context__, hide=hide, depth=depth + 1)
        if error.__context__ and error.__context__ is not error.__cause__ and chained
        else None,
        "suppress_context": error.__suppress_context__,
    }


def rebuild_error(payload: dict[str, Any]) -> BaseException:
    """An exception that reads like the original: class name, str(), notes, causes, and a traceback that
    shows the remote files, lines and functions.

    It is of the builtin class itself where that gives the same text, else of a new class that carries the
    original's module and qualname and derives from RemoteError and its nearest builtin base. Never a
    SystemExit, KeyboardInterrupt or StopIteration proper.
    """
    error = _instance(payload)
    for name, value in payload["attributes"].items():
        with contextlib.suppress(
            AttributeError, TypeError
        ):  # read-only on this class; the text has it anyway
            setattr(error, name, value)
    error.__comfy_env_origin__ = RemoteOrigin(  # type: ignore[attr-defined]
        payload["module"], payload["qualname"], payload["text"]
    )
    if payload["notes"]:
        error.__notes__ = list(payload["notes"])  # type: ignore[attr-defined]
    if payload["cause"]:
        error.__cause__ = rebuild_error(payload["cause"])
    if payload["context"]:
        error.__context__ = rebuild_error(payload["context"])
    error.__suppress_context__ = bool(payload["suppress_context"])
    return error.with_traceback(_rebuild_traceback(payload["frames"]))


def _instance(payload: dict[str, Any]) -> BaseException:
    builtin = _builtin_exception(payload["qualname"]) if payload["module"] == "builtins" else None
    if builtin is not None and payload["args"] is not None and not issubclass(builtin, NEVER_AS_THEMSELVES):
        try:
            error = builtin(*payload["args"])
        except TypeError:
            error = None  # a class with a constructor of its own kind, such as UnicodeDecodeError
        if error is not None and type(error) is builtin and _text_of(error) == payload["text"]:
            return error
    kind = _remote_class(payload["module"], payload["qualname"], payload["bases"])
    error = kind.__new__(kind)
    error.args = tuple(payload["args"]) if payload["args"] is not None else (payload["text"],)
    error.__comfy_env_text__ = payload["text"]  # type: ignore[attr-defined]
    return error


def _remote_class(module: str, qualname: str, bases: Sequence[str]) -> type[Exception]:
    nearest = next((_builtin_exception(name) for name in bases if _builtin_exception(name)), None)
    parents: tuple[type, ...] = (RemoteError,)
    if nearest is not None and nearest is not Exception and not issubclass(nearest, NEVER_AS_THEMSELVES):
        parents = (RemoteError, nearest)
    members = {"__module__": module, "__qualname__": qualname, "__str__": _remote_text}
    return type(qualname.rpartition(".")[2], parents, members)


def _remote_text(error: Any) -> str:
    return str(error.__comfy_env_text__)


def _builtin_exception(name: str) -> type[Exception] | None:
    found = getattr(builtins, name, None)
    # Only Exceptions: a KeyboardInterrupt or SystemExit of the worker must not act on the host.
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  # __str__ is foreign code
        return f"<str() of the error failed: {type(failure).__name__}>"


def _is_plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, (tuple, list)) and depth < 4 and len(value) <= 100:
        return all(_is_plain(item, depth + 1) for item in value)
    return type(value) in PLAIN_TYPES


def _plain_attributes(error: BaseException) -> dict[str, Any]:
    names = [name for name in vars(error) if not name.startswith("__")] if hasattr(error, "__dict__") else []
    if isinstance(error, ImportError):
        names += ["name", "path"]
    return {name: getattr(error, name, None) for name in names if _is_plain(getattr(error, name, None))}


def _frames(trace: TracebackType | None, hide: str) -> list[list[Any]]:
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


def _rebuild_traceback(frames: Sequence[Sequence[Any]]) -> TracebackType | None:
    trace: TracebackType | None = None
    for filename, line, function in reversed(frames):
        frame = _frame_at(filename, max(int(line or 1), 1), function)
        trace = TracebackType(trace, frame, frame.f_lasti, max(int(line or 1), 1))
    return trace


def _frame_at(filename: str, line: int, function: str) -> FrameType:
    """A frame that claims to stand at that place: a one-line program, moved there, that was left by an error."""
    # Late: only the side that hears of an error needs it, and a worker starts faster without.
    import ast  # noqa: PLC0415

    tree = ast.parse("raise error")
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = line  # type: ignore[attr-defined]
            # No columns: they would underline the wrong part of the real source line.
            node.col_offset = node.end_col_offset = -1  # type: ignore[attr-defined]
    code = compile(tree, filename, "exec").replace(co_name=function)
    try:
        exec(code, {"__name__": filename, "error": _FrameProbe()})
    except _FrameProbe as probe:
        assert probe.__traceback__ is not None and probe.__traceback__.tb_next is not None
        return probe.__traceback__.tb_next.tb_frame
    raise AssertionError("unreachable")


class _FrameProbe(Exception):
    """Raised and caught only to obtain a frame."""
