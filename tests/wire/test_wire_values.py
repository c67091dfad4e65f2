"""What is sent by value arrives equal and of the same type."""

from __future__ import annotations

import contextlib
import enum
import os
import pathlib
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE_S
from wirepair import CodecPair, round_trip

from comfy_env_core.wire import DecodeError, EncodeError

NO_TABLE = bytes(4)


class Colour(enum.Enum):
    RED = (1, "x")


class Loud(str):
    __slots__ = ()


def decode(body: bytes) -> Any:
    return CodecPair().right.receive(body, 0, []).decode()


def test_value_nested_too_deeply_is_refused_with_a_sentence() -> None:
    nested: Any = ()
    for _ in range(300):
        nested = (nested,)
    with pytest.raises(EncodeError, match="deeper than"):
        round_trip(nested)


def test_failed_message_lends_nothing_and_holds_no_memory() -> None:
    pair = CodecPair()
    nested: Any = ()
    for _ in range(300):
        nested = (nested,)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(EncodeError):
        pair.left.encode([object(), bytearray(100_000), nested])
    pair.close()
    assert len(pair.left.exchange.lent) == 0 and len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("body", [b"\xc1", b"\xc7\xff\x01", b"\xc7\x00\x63", b"\x92\x01"])
def test_damaged_value_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(NO_TABLE + body)


def test_deeply_nested_damaged_value_does_not_exhaust_the_stack() -> None:
    body = b"\xc0"
    for _ in range(2000):
        body = b"\xc9" + len(body).to_bytes(4, "big") + b"\x01" + body
    with pytest.raises(DecodeError):
        decode(NO_TABLE + body)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -1,
        2**63,
        2**64,
        -(2**64),
        10**400,
        1.5,
        float("inf"),
        "",
        "lone \ud800 surrogate",
        b"\x00\xff",
        [1, [2, [3]]],
        (),
        (1, (2,)),
        {1, "a", (2, 3)},
        frozenset({frozenset({1})}),
        {None: 1, 2: "b", (1, "x"): [], "z": {}, 1.5: 0},
        1 - 2j,
        slice(None, 3, -1),
        range(1, 10, 3),
        pathlib.Path("/tmp/a b"),
        Ellipsis,
        OrderedDict([("b", 1), ("a", (2,))]),
        Colour.RED,
    ],
    ids=repr,
)
def test_value_keeps_value_and_type(value: Any) -> None:
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)


def test_order_of_keys_is_kept() -> None:
    assert list(round_trip({"z": 1, "a": 2, 3: 4})) == ["z", "a", 3]


def test_subclasses_of_scalars_arrive_as_what_they_equal() -> None:
    assert type(round_trip(Loud("x"))) is str
    assert round_trip({Loud("key"): enum.IntFlag("F", "A").A}) == {"key": 1}


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.tuples(st.integers()), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(PLAIN)
def test_any_plain_value_arrives_equal(value: Any) -> None:
    back = round_trip(value)
    assert back == value and repr(back) == repr(value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_value_or_a_decode_error(content: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(NO_TABLE + content)


def test_values_travel_through_a_connection(connect: Callable[..., Any]) -> None:
    left, _ = connect()
    big = ["x" * 200_000, b"y" * 300_000]
    assert left.call("echo", big).result(PATIENCE_S) == big


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(3),
        b"\xff" * 8,
        b"\x01\x00\x00\x00\xc1",
        b"\x01\x00\x00\x00\x90\xc0",
        b"\x06\x00\x00\x00\x95\x91\x07\x90\x90\x90\x90\xc0",
        b"\x09\x00\x00\x00\x95\x90\x90\x91\x92\x01\x02\x90\x90\xc0",
        b"\x01\x00\x00\x00\x00\xd6\x21\x00\x00\x00\x00",
    ],
)
def test_message_that_announces_objects_it_has_not_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(body)


def test_small_class_of_comfyui_travels_where_both_sides_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("comfy_execution.graph_utils")
    kind = type("ExecutionBlocker", (), {"__module__": module.__name__, "__qualname__": "ExecutionBlocker"})
    vars(module)["ExecutionBlocker"] = kind
    monkeypatch.setitem(sys.modules, module.__name__, module)
    blocker: Any = kind()
    blocker.message = "stop"
    back = round_trip((blocker,))[0]
    assert type(back) is kind and back.message == "stop"


def test_class_that_is_not_on_the_list_is_never_rebuilt() -> None:
    name = msgpack.packb(["subprocess", "Popen"])
    content = struct.pack("<II", 0, len(name)) + name + msgpack.packb({"args": "x"})
    body = NO_TABLE + msgpack.packb(msgpack.ExtType(34, content))
    with pytest.raises(DecodeError, match=r"subprocess\.Popen is not a class that may be rebuilt"):
        decode(body)
