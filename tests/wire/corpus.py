"""Valid messages to begin a fuzz with: every code of the type table, arrays with segments, handles, errors, calls."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import pathlib
import types
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy
from wire.layout import Message, Side, extension, raw_message, tensor_message

from comfy_env_core.wire.failures import describe_error
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.parcels import make_parcel
from comfy_env_core.wire.values.odd_containers import AcceptingDict, AcceptingTuple
from comfy_env_core.wire.values.type_names import wildcard
from comfy_env_core.wire.values.types import TypeCode


class Colour(enum.Enum):
    """An enumeration both sides know."""

    RED = 1


class Mesh:
    """An object that stays at home."""

    def __repr__(self) -> str:
        return "<mesh>"  # no address: the same messages in every run


@dataclasses.dataclass
class Camera:
    """Travels by value: both sides know it."""

    position: tuple[float, ...]
    target: Any = None


class Bounds(NamedTuple):
    """Travels by value as well."""

    low: int
    high: Any


class Corpus:
    """The messages, and the side that can decode them: it lent what comes home in some of them."""

    def __init__(self) -> None:
        self.receiver = Side()
        self._sender = Side()
        self._at_home = Mesh()
        parts = (
            self._plain,
            self._shared,
            self._standard,
            self._arrays,
            self._objects,
            self._failures,
            self._by_hand,
        )
        self.messages = [message for part in parts for message in part()]

    def _of(self, name: str, value: Any, *, is_failure: bool = False) -> Message:
        return self._sender.encode(name, value, is_failure=is_failure)

    def _plain(self) -> Iterator[Message]:
        values = {
            "scalars": [None, True, -1, 300, 2**63, 1.5, float("inf"), "text", "lone \ud800", b"\x00\xff"],
            "dict": {"a": {"b": [1, 2]}, 3: None, (1, 2): "x"},
            "tuple": (1, (2, ("x",)), ()),
            "sets": [{1, "a"}, frozenset({frozenset({2})})],
            "big": [2**70, -(2**200)],
            "complex": [1 - 2j, 0j],
            "slice": [slice(None, 3, -1), range(1, 10, 3), range(1 << 40)],
            "path": [pathlib.Path("/tmp/a b"), pathlib.PureWindowsPath("c:/x"), Ellipsis],
            "enum": [Colour.RED],
            "dicts": [OrderedDict([("b", 1), ("a", (2,))]), defaultdict(list, {1: [2]}), Counter("aab")],
            "wildcards": [wildcard("*"), AcceptingDict({"a": 1}, ("*",), True), deque([1, 2], 3)],
            "accepting": [_accepting_tuple(), types.SimpleNamespace(a=1, b=(2,))],
            "arguments": ["run", {"class": ["m", "Node"], "args": [1, "x"], "kwargs": {"seed": 7}}],
            "nothing": None,
        }
        for name, value in values.items():
            yield self._of(name, value)

    def _shared(self) -> Iterator[Message]:
        inner = [1, 2]
        loop: dict[str, Any] = {"inner": inner, "again": inner}
        loop["self"] = loop
        camera = Camera((1.0, 2.0))
        camera.target = [camera, inner]
        yield self._of("shared", [inner, {"x": inner}])
        yield self._of("loop", loop)
        yield self._of("instances", [camera, camera, Bounds(1, camera)])

    def _standard(self) -> Iterator[Message]:
        utc = datetime.timezone.utc
        yield self._of("moments", [datetime.datetime(2020, 1, 2, 3, tzinfo=utc), datetime.date(2020, 1, 2)])
        yield self._of("times", [datetime.time(1, 2, 3), datetime.timedelta(1, 2, 3), utc])
        yield self._of("zone", zoneinfo.ZoneInfo("UTC"))
        yield self._of("numbers", [decimal.Decimal("1.50"), fractions.Fraction(1, 3), uuid.UUID(int=5)])
        yield self._of(
            "buffers", [bytearray(b"abc"), memoryview(b"xyz"), memoryview(array.array("i", [1, 2]))]
        )
        yield self._of("files", [io.BytesIO(b"content"), io.StringIO("text")])

    def _arrays(self) -> Iterator[Message]:
        image = numpy.linspace(0, 1, 48, dtype=numpy.float32).reshape(1, 4, 4, 3)
        large = numpy.arange(64 * 96, dtype=numpy.int32).reshape(64, 96)
        record = numpy.zeros(3, [("x", "<f4"), ("n", "<i2", (2,))])
        yield self._of("small image", image)
        yield self._of("views", [image.transpose(0, 3, 1, 2), image[::-1], image[0, 0]])
        yield self._of("odd arrays", [numpy.zeros((0, 3)), numpy.array(5, "f2"), numpy.array(["ab"]), record])
        yield self._of(
            "scalars of numpy", [numpy.float32(1.5), numpy.int8(-3), numpy.datetime64("2020-01-01")]
        )
        yield self._of("dtypes", [numpy.dtype("<f4"), record.dtype])
        yield self._of("array of objects", numpy.array([[1, "a"], [None, (2,)]], dtype=object))
        yield self._of("segment", large)
        yield self._of("two segments", [numpy.zeros((1 << 18) + 64), numpy.ones((1 << 17) + 8, "f8")])
        yield self._of(
            "one segment", {"image": large, "mask": large.T, "again": [large[:50]], "bytes": bytearray(20000)}
        )

    def _objects(self) -> Iterator[Message]:
        lent = self.receiver.encode("lent", self._at_home)
        homing = self._sender.decode(lent.body)
        mesh = Mesh()
        yield self._of("home", [homing, {"again": homing}])
        yield self._of("handles", [mesh, Mesh(), {"again": mesh}])
        yield self._of("both", (Mesh(), homing))
        yield self._of("parcel", make_parcel(collections.ChainMap({"a": [1, numpy.zeros(3)]}), Codecs()))
        third = Side("third")
        foreign = third.decode(Side().encode("lent", Mesh()).body)
        third.borrowed.fetch = lambda handle: make_parcel(fractions.Fraction(1, 2), Codecs())
        yield self._of("foreign", [foreign])

    def _failures(self) -> Iterator[Message]:
        try:
            try:
                int("x")
            except ValueError as error:
                raise KeyError("missing", 3) from error
        except KeyError as error:
            error.__notes__ = ["a note"]  # type: ignore[attr-defined]  # what add_note makes, also before 3.11
            yield self._of("failure", describe_error(error), is_failure=True)
        odd: Any = type("OutOfMemory", (RuntimeError,), {})("x")
        odd.device = 3
        yield self._of("foreign failure", describe_error(odd), is_failure=True)
        yield self._of(
            "operating system", describe_error(FileNotFoundError(2, "No such file", "/x")), is_failure=True
        )

    def _by_hand(self) -> Iterator[Message]:
        """What takes a library to encode that the tests' Python may not have."""
        yield tensor_message("tensor", "float32", [2, 2], bytes(16))
        yield tensor_message("bfloat16", "bfloat16", [2], bytes(4))
        torch = {
            TypeCode.TORCH_SIZE: [1, 2],
            TypeCode.TORCH_DTYPE: "torch.float16",
            TypeCode.TORCH_DEVICE: "cuda:0",
        }
        for code, payload in torch.items():
            yield raw_message(code.name, extension(code, payload), may_be_refused=True)
        image = ["RGB", [2, 1], b"abcdef", None, {"dpi": 72}]
        yield raw_message("image", extension(TypeCode.IMAGE, image), may_be_refused=True)


def _accepting_tuple() -> AcceptingTuple:
    made = AcceptingTuple(("IMAGE",))
    made.beyond = ["IMAGE"]
    return made
