"""The type table alone: what each value becomes, and that nothing a peer sends makes the receiver do much."""

from __future__ import annotations

import ctypes
import datetime
import enum
import functools
import io
import pathlib
import threading
import types
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_env_core.wire.values.file_lists import FileList
from comfy_env_core.wire.values.odd_containers import AcceptingDict, AcceptingTuple
from comfy_env_core.wire.values.type_names import TypeName
from comfy_env_core.wire.values.types import TypeCode, build_value, plain_base, reduce_value

PLAIN = (type(None), bool, int, float, str, bytes)


class Stays(Exception):
    """The value has no code."""


def travelled(value: Any) -> Any:
    """As the codec does it: payloads all the way down."""
    if type(value) in PLAIN:
        return value
    if type(value) is list:
        return [travelled(item) for item in value]
    if type(value) is dict:
        return {travelled(key): travelled(item) for key, item in value.items()}
    reduced = reduce_value(value)
    if reduced is None:
        raise Stays(type(value))
    code, payload = reduced
    return build_value(code, carried(payload))


def carried(payload: Any) -> Any:
    if type(payload) is memoryview:
        assert payload.ndim == 1 and payload.format == "B"
        return memoryview(bytearray(payload))
    if type(payload) is list:
        return [carried(part) if type(part) is memoryview else travelled(part) for part in payload]
    return travelled(payload)


class NewYorkOfAnotherLibrary(datetime.tzinfo):
    def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
        return datetime.timedelta(hours=-5)

    def dst(self, moment: datetime.datetime | None) -> None:
        return None

    def tzname(self, moment: datetime.datetime | None) -> str:
        return "EST"


class Anything(str):
    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False


class AnyInputs(dict):  # type: ignore[type-arg]
    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: object) -> Any:
        return ("*", {})


class AnyOutputs(tuple):  # type: ignore[type-arg]
    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        return tuple.__getitem__(self, index) if index < len(self) else "*"


class Point(NamedTuple):
    x: int


class Shade(enum.IntFlag):
    DARK = 1
    LIGHT = 2


@pytest.mark.parametrize(
    "value",
    [
        object(),
        object,
        len,
        lambda: None,
        functools.partial(int, "1"),
        defaultdict(lambda: 0, a=1),
        defaultdict(functools.partial(int, 3)),
        Point(1),
        type("Own", (dict,), {})(a=1),
        type("Own", (list,), {})([1]),
        type("Own", (tuple,), {})([1]),
        type("Own", (OrderedDict,), {})(a=1),
        type("Own", (datetime.datetime,), {})(2020, 1, 1),
        threading.Lock(),
        iter([]),
        io.FileIO(0, closefd=False),
        types,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_rebuilt_as_it_is_has_no_code(value: Any) -> None:
    assert reduce_value(value) is None and plain_base(value) is None


def test_closed_streams_and_released_views_have_no_code() -> None:
    closed: list[Any] = [io.BytesIO(b"x"), io.StringIO("x")]
    for stream in closed:
        stream.close()
        assert reduce_value(stream) is None
    view = memoryview(b"x")
    view.release()
    assert reduce_value(view) is None


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "value",
    [
        (1, (2,)),
        {(1, 2), "x"},
        frozenset({1.5, None}),
        2**200,
        -(2**64),
        complex(-0.0, float("inf")),
        slice(None, -1, (3,)),
        range(-5, 10**30, 7),
        ...,
        bytearray(b"abc"),
        bytearray(),
        pathlib.Path("/a/ü"),
        pathlib.PurePosixPath("/a/b"),
        pathlib.PureWindowsPath("C:\\x\\y"),
        OrderedDict([("b", (1,)), ("a", 2)]),
        defaultdict(list, {"x": [1], (1, 2): []}),
        defaultdict(None, {"x": 1}),
        Counter("hello"),
        Counter({"x": -1, "y": 0.5}),
        deque([1, (2,)]),
        deque([1, 2], maxlen=2),
        types.SimpleNamespace(a=1, b=(2,)),
        datetime.date(1, 1, 1),
        datetime.datetime(2020, 2, 29, 1, 2, 3, 999_999),  # noqa: DTZ001
        datetime.datetime(2021, 10, 31, 2, 30, tzinfo=BERLIN, fold=1),
        datetime.datetime(9999, 12, 31, tzinfo=datetime.timezone.utc),
        datetime.datetime(
            2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, microseconds=3), "X")
        ),
        datetime.time(1, 2, 3, 4, fold=1),
        datetime.time(1, tzinfo=BERLIN),
        datetime.time(1, tzinfo=datetime.timezone.utc),
        datetime.timedelta(-3, 5, 7),
        datetime.timedelta.max,
        datetime.timezone.utc,
        datetime.timezone(datetime.timedelta(minutes=-90)),
        BERLIN,
        uuid.UUID(int=7),
        Decimal("1.230E-7"),
        Decimal("-Infinity"),
        Decimal("1e999999"),
        Fraction(-3, 7),
        Shade.DARK,
        Shade.DARK | Shade.LIGHT,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_value_arrives_equal_and_of_its_type(value: Any) -> None:
    back = travelled(value)
    assert back == value and type(back) is type(value)
    # The order in which a set shows its members is not its own.
    assert repr(back) == repr(value) or type(value) in (set, frozenset)


def test_container_keeps_what_equality_does_not_see() -> None:
    back = travelled(defaultdict(list))
    assert back["missing"] == []
    assert travelled(deque([1], maxlen=3)).maxlen == 3
    assert list(travelled(OrderedDict([("z", 1), ("a", 2)]))) == ["z", "a"]
    moment = travelled(datetime.datetime(2021, 10, 31, 2, 30, tzinfo=BERLIN, fold=1))
    assert moment.fold == 1 and moment.tzinfo is BERLIN
    assert travelled(Decimal("sNaN5")).as_tuple() == Decimal("sNaN5").as_tuple()


def test_zone_of_another_library_arrives_as_its_offset() -> None:
    value = datetime.datetime(2020, 1, 1, tzinfo=NewYorkOfAnotherLibrary())
    back = travelled(value)
    assert back == value and back.tzname() == "EST" and type(back.tzinfo) is datetime.timezone
    vague = type("Vague", (datetime.tzinfo,), {"utcoffset": lambda zone, moment: None})()
    assert reduce_value(datetime.time(1, tzinfo=vague)) is None


def test_zone_the_receiver_has_no_rules_for_keeps_the_moment() -> None:
    code, payload = reduce_value(datetime.datetime(2021, 7, 1, tzinfo=BERLIN)) or (0, None)
    payload[-1][2] = "Europe/Atlantis"
    back = build_value(code, payload)
    assert back == datetime.datetime(2021, 7, 1, tzinfo=BERLIN) and back.tzname() == "CEST"
    with pytest.raises(ValueError, match=r"Atlantis.*tzdata"):
        build_value(TypeCode.ZONE_INFO, "Europe/Atlantis")


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(timezones=st.none() | st.timezones())
    | st.times()
    | st.timedeltas()
    | st.fractions()
    | st.decimals()
    | st.uuids()
    | st.dates()
)
def test_any_moment_and_number_arrives_as_it_was(value: Any) -> None:
    back = travelled(value)
    assert repr(back) == repr(value) and type(back) is type(value)


def test_streams_keep_content_position_and_attributes() -> None:
    stream: Any = io.BytesIO(b"abcdef")
    stream.seek(2)
    stream.name = "clip.mp4"
    back = travelled(stream)
    assert back.read() == b"cdef" and back.getvalue() == b"abcdef" and back.name == "clip.mp4"
    back.write(b"!")
    text = io.StringIO(newline="\r\n")
    text.write("one\ntwo\n")
    text.seek(5)
    copy = travelled(text)
    assert copy.getvalue() == "one\r\ntwo\r\n" and copy.tell() == 5
    copy.seek(0, 2)
    copy.write("\n")
    assert copy.getvalue().endswith("\r\n\r\n")


def test_memoryviews_arrive_writable_with_their_shape() -> None:
    back = travelled(memoryview(b"abc"))
    back[0] = 0x78
    assert bytes(back) == b"xbc"
    grid = memoryview(bytearray(range(24))).cast("i", (2, 3))
    there = travelled(grid)
    assert (there.format, there.shape, there.tolist()) == ("i", (2, 3), grid.tolist())
    assert bytes(travelled(memoryview(b"abcdef")[::2])) == b"ace"
    assert bytes(travelled(memoryview(b"")) or b"") == b""
    assert bytes(travelled(memoryview((ctypes.c_uint16 * 2)(1, 2)))) == b"\1\0\2\0"


def test_bytearray_is_sent_as_a_view_of_its_memory() -> None:
    content = bytearray(b"abc")
    code, payload = reduce_value(content) or (0, None)
    content[0] = 0
    assert code == TypeCode.BYTEARRAY and bytes(payload) == b"\0bc"


def test_type_names_that_match_everything_still_do() -> None:
    back = travelled(Anything("*"))
    assert type(back) is TypeName and back == "*" and hash(back) == hash("*")
    assert not back != "IMAGE"  # noqa: SIM202
    assert type(travelled(back)) is TypeName
    assert (
        reduce_value(type("Loud", (str,), {})("x")) is None
        and plain_base(type("Loud", (str,), {})("x")) == "x"
    )


def test_text_whose_comparison_fails_is_only_a_text() -> None:
    def refuse(self: object, other: object) -> bool:
        raise RuntimeError("no")

    odd = type("Odd", (str,), {"__ne__": refuse})("x")
    assert reduce_value(odd) is None and str.__eq__(plain_base(odd), "x")


def test_dicts_and_tuples_that_hold_everything_still_do() -> None:
    back = travelled(AnyInputs(a=1))
    assert type(back) is AcceptingDict and dict.items(back) == {("a", 1)}
    assert "zebra" in back and back["zebra"] == ("*", {})
    assert travelled(back)["zebra"] == ("*", {})
    bare = travelled(AcceptingDict({"a": 1}, None, False))
    assert "b" in bare
    with pytest.raises(KeyError):
        bare["b"]
    outputs = travelled(AnyOutputs(("IMAGE",)))
    assert type(outputs) is AcceptingTuple and outputs[0] == "IMAGE" and outputs[17] == "*"


def test_lists_and_numbers_of_a_class_of_their_own_arrive_as_what_they_equal() -> None:
    assert type(plain_base(FileList(["a"]))) is list
    assert plain_base(type("Big", (int,), {})(5)) == 5
    saved = type("SavedResult", (dict,), {"__module__": "comfy_api.latest._ui"})(filename="x.png")
    assert type(plain_base(saved)) is dict and plain_base(saved) == {"filename": "x.png"}


def test_enum_member_arrives_as_its_value_where_the_class_is_unknown() -> None:
    member = enum.Enum("Local", {"A": (1, "x")}).A  # type: ignore[attr-defined]
    assert travelled(member) == (1, "x")
    assert build_value(TypeCode.ENUM, [__name__, "Shade", "GONE", "nothing"]) == "nothing"
