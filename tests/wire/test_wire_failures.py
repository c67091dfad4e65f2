"""Exceptions that travelled read like the original."""

from __future__ import annotations

import sys
import timeit
import traceback
from typing import Any

import pytest

from comfy_env_core.wire import RemoteError, describe_error, rebuild_error, remote_origin


class Odd(Exception):
    def __init__(self, one: int, two: object) -> None:
        super().__init__(one, two)

    def __str__(self) -> str:
        raise RuntimeError("no text")


def travelled(error: BaseException) -> Any:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return rebuild_error(describe_error(caught))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", 3),
        KeyError("missing"),
        FileNotFoundError(2, "No such file", "/x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        ModuleNotFoundError("No module named 'cgal'", name="cgal"),
        ZeroDivisionError(),
        OSError("plain"),
        PermissionError(13, "Denied", "/a", None, "/b"),
        SyntaxError("bad", ("x.py", 3, 1, "a b")),
        MemoryError("much"),
        RecursionError("deep"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_builtin_exception_keeps_class_and_text(error: Exception) -> None:
    back = travelled(error)
    assert isinstance(back, type(error)) and str(back) == str(error)
    assert (type(back).__module__, type(back).__qualname__) == ("builtins", type(error).__qualname__)


def test_class_the_host_does_not_have_keeps_its_name_and_builtin_base() -> None:
    class NotEnoughError(RuntimeError):
        pass

    NotEnoughError.__module__ = "faraway"
    back = travelled(NotEnoughError("CUDA out of memory"))
    assert isinstance(back, RuntimeError) and isinstance(back, RemoteError)
    assert type(back).__module__ == "faraway" and type(back).__qualname__.endswith("NotEnoughError")
    assert str(back) == "CUDA out of memory"
    assert remote_origin(back) is not None and remote_origin(ValueError()) is None


def test_text_that_cannot_be_made_and_arguments_that_cannot_travel_do_no_harm() -> None:
    back = travelled(Odd(1, object()))
    assert "RuntimeError" in str(back)
    assert isinstance(back, RemoteError)


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration]
)
def test_exceptions_that_steer_programs_become_ordinary_ones(kind: type[BaseException]) -> None:
    back = travelled(kind(1))
    assert isinstance(back, RemoteError) and not isinstance(back, kind)
    assert type(back).__name__ == kind.__name__


def test_causes_contexts_and_notes_are_kept() -> None:
    try:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904
        except ValueError as error:
            raise RuntimeError("third") from error
    except RuntimeError as error:
        error.__notes__ = ["look here"]
        back = rebuild_error(describe_error(error))
    assert isinstance(back.__cause__, ValueError) and isinstance(back.__cause__.__context__, KeyError)
    text = "".join(traceback.format_exception(type(back), back, back.__traceback__))
    assert "direct cause" in text and "During handling" in text
    assert sys.version_info < (3, 11) or "look here" in text


def test_traceback_shows_the_original_files_lines_and_functions() -> None:
    def inner() -> None:
        raise ValueError("deep")

    try:
        inner()
    except ValueError as error:
        payload = describe_error(error)
        here = traceback.extract_tb(error.__traceback__)
    back = rebuild_error(payload)
    rebuilt = traceback.extract_tb(back.__traceback__)
    assert [(f.filename, f.lineno, f.name) for f in rebuilt] == [(f.filename, f.lineno, f.name) for f in here]
    assert 'raise ValueError("deep")' in "".join(traceback.format_tb(back.__traceback__))
    with pytest.raises(ValueError, match="deep") as caught:
        raise back
    assert "inner" in "".join(traceback.format_tb(caught.value.__traceback__))


def test_file_that_is_not_on_this_machine_is_named_all_the_same() -> None:
    payload = describe_error(ValueError("x"))
    payload["frames"] = [["/env/lib/mesh.py", 123456, "<module>"], ["<string>", None, "f"]]
    text = "".join(traceback.format_tb(rebuild_error(payload).__traceback__))
    assert 'File "/env/lib/mesh.py", line 123456, in <module>' in text


def test_endless_recursion_is_shortened() -> None:
    def forever(depth: int) -> None:
        forever(depth + 1)

    try:
        forever(0)
    except RecursionError as error:
        payload = describe_error(error)
    assert len(payload["frames"]) == 100
    assert isinstance(rebuild_error(payload), RecursionError)


def test_error_that_is_its_own_distant_cause_is_told_once() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    back = rebuild_error(describe_error(first))
    assert isinstance(back.__cause__, KeyError) and back.__cause__.__cause__ is None


def test_long_chain_is_cut_and_still_arrives() -> None:
    error: BaseException = ValueError("0")
    for depth in range(1, 500):
        later = ValueError(str(depth))
        later.__cause__, later.__context__ = error, ValueError("aside")
        error = later
    back = rebuild_error(describe_error(error))
    count = 0
    while back.__cause__ is not None:
        back, count = back.__cause__, count + 1
    assert count == 10


def test_telling_and_rebuilding_an_error_costs_much_less_than_a_millisecond() -> None:
    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    with pytest.raises(ValueError) as caught:
        fail(15)
    payload = describe_error(caught.value)
    for work in (lambda: describe_error(caught.value), lambda: rebuild_error(payload)):
        assert min(timeit.repeat(work, number=10, repeat=20)) / 10 < 0.001
