"""The type table alone: what each value becomes, and that nothing a peer sends makes the receiver do much."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import enum
import functools
import importlib
import io
import pathlib
import random
import threading
import time
import tracemalloc
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

from comfy_env_core.wire import libraries
from comfy_env_core.wire.snapshot import AcceptingDict, AcceptingTuple, FolderList, Wildcard
from comfy_env_core.wire.types import TypeCode, build_value, plain_base, reduce_value

PLAIN = (type(None), bool, int, float, str, bytes)
BUILT_BY_THE_CODEC = (
    *(
        "ARRAY",
        "TENSOR",
        "NUMPY_SCALAR",
        "OBJECT_ARRAY",
        "BUFFER",
        "HANDLE",
        "HOME",
        "INSTANCE",
        "NAMED_TUPLE",
    ),
    *("DEFINE", "REFER", "PARCEL", "FOREIGN", "METHOD"),
)
BUILT_HERE = [code for code in TypeCode if code.name not in BUILT_BY_THE_CODEC]


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


@pytest.fixture(scope="module", autouse=True)
def _libraries_are_loaded() -> None:
    # Their import would count as time and memory of the first payload.
    for name in ("numpy", "torch", "PIL.Image", "zoneinfo"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


@pytest.mark.parametrize(
    "payload",
    [
        range(10**15),
        [range(10**15)],
        [range(10**15)] * 2,
        [range(10**15), 1, 1],
        10**9,
        [10**9],
        [10**9, 0, {}],
        [5, range(10**15)],
        [[range(10**15)]],
        ["1", "2"],
        "x" * 100,
        {"a": 1},
        [None, None],
        None,
        [2**70] * 9,
        [1] * 8 + [[2**60, None]],
        [["k", []], [range(10**15)]],
    ],
    ids=lambda payload: repr(payload)[:30],
)
@pytest.mark.parametrize("code", BUILT_HERE, ids=lambda code: code.name)
def test_payload_of_another_shape_is_an_ordinary_error_or_a_small_value(code: TypeCode, payload: Any) -> None:
    tracemalloc.start()
    started = time.monotonic()
    try:
        build_value(code, payload)
    except Exception as error:  # noqa: BLE001
        assert not isinstance(error, MemoryError)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4_000_000 and time.monotonic() - started < 2


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=8)
    | st.sampled_from(["posix", "list", "<f4", "V999999999", "f4,f4", "O", "UTC", "../x", "torch.float32", "cuda:0"]),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(BUILT_HERE), JUNK)
def test_no_payload_does_worse_than_raise_an_ordinary_error(code: TypeCode, payload: Any) -> None:
    try:
        build_value(code, payload)
    except Exception as error:  # noqa: BLE001
        assert not isinstance(error, (MemoryError, AssertionError))


def test_fraction_of_enormous_numbers_is_refused_at_once_and_stays_with_its_owner() -> None:
    digits = random.Random(1).getrandbits(3_000_000)
    started = time.monotonic()
    with pytest.raises(ValueError, match="too many digits"):
        build_value(TypeCode.FRACTION, [digits, digits + 2])
    assert time.monotonic() - started < 1
    assert reduce_value(Fraction(1, 2**70_000)) is None


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
    assert back == value and type(back) is type(value) and repr(back) == repr(value)


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
    assert type(back) is Wildcard and back == "*" and hash(back) == hash("*")
    assert not back != "IMAGE"  # noqa: SIM202
    assert type(travelled(back)) is Wildcard
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
    assert type(plain_base(FolderList(["a"]))) is list
    assert plain_base(type("Big", (int,), {})(5)) == 5
    saved = type("SavedResult", (dict,), {"__module__": "comfy_api.latest._ui"})(filename="x.png")
    assert type(plain_base(saved)) is dict and plain_base(saved) == {"filename": "x.png"}


def test_enum_member_arrives_as_its_value_where_the_class_is_unknown() -> None:
    member = enum.Enum("Local", {"A": (1, "x")}).A  # type: ignore[attr-defined]
    assert travelled(member) == (1, "x")
    assert build_value(TypeCode.ENUM, [__name__, "Shade", "GONE", "nothing"]) == "nothing"


def test_numpy_dtypes_arrive_whole() -> None:
    numpy = pytest.importorskip("numpy")
    for spelling in ("<f4", ">i2", "?", "S7", "<U3", "<M8[ns]", "<M8[25s]", "O", "V12", "<c16", "<f8"):
        assert travelled(numpy.dtype(spelling)) == numpy.dtype(spelling)
    inner = numpy.dtype([("r", "u1"), ("g", ">u2")])
    layout = {"names": ["a", "b"], "formats": [inner, ("<f4", (2, 3))], "offsets": [4, 16], "itemsize": 64}
    for dtype in (
        inner,
        numpy.dtype(layout),
        numpy.dtype([("x", "i1"), ("y", "f8")], align=True),
        numpy.dtype(("<f4", (2,))),
    ):
        back = travelled(dtype)
        assert back == dtype and back.itemsize == dtype.itemsize and back.fields == dtype.fields
        assert back.isalignedstruct == dtype.isalignedstruct


def test_spelling_that_is_no_single_dtype_is_refused() -> None:
    pytest.importorskip("numpy")
    for form in (
        "f4,f8",
        "float32",
        "V99999999999",
        "<M8[1000000000000D]",
        5,
        {"base": "<f4", "shape": [-1]},
    ):
        with pytest.raises((TypeError, ValueError, KeyError)):
            build_value(TypeCode.NUMPY_DTYPE, ["text", form])


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_without_the_library_types_arrive_as_text_and_sizes_as_tuples(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "obtain", lambda name: None)
    if library == "numpy":
        assert build_value(TypeCode.NUMPY_DTYPE, ["float32", "<f4"]) == "float32"
        return
    assert build_value(TypeCode.TORCH_SIZE, [2, 3]) == (2, 3)
    assert build_value(TypeCode.TORCH_DTYPE, "torch.float16") == "torch.float16"
    assert build_value(TypeCode.TORCH_DEVICE, "cuda:1") == "cuda:1"


def test_torch_sizes_dtypes_and_devices_arrive_as_themselves() -> None:
    torch = pytest.importorskip("torch")
    for value in (
        torch.Size([2, 3]),
        torch.Size([]),
        torch.bfloat16,
        torch.device("cuda", 1),
        torch.device("cpu"),
    ):
        back = travelled(value)
        assert back == value and type(back) is type(value)
    with pytest.raises(ValueError, match=r"has no dtype 'torch\.float3'"):
        build_value(TypeCode.TORCH_DTYPE, "torch.float3")
    with pytest.raises(ValueError, match="has no dtype"):
        build_value(TypeCode.TORCH_DTYPE, "torch.save")
