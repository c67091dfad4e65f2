"""Which classes travel by value, who is asked, and that making one runs none of its code."""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import io
import sys
import types
from typing import Any, Generic, NamedTuple, TypeVar

import pytest

from comfy_env_core.wire.errors import DecodeError
from comfy_env_core.wire.values.classes import (
    attributes_of,
    build_named_tuple,
    fill_instance,
    find_class,
    fingerprint,
    is_known,
    new_instance,
    values_of,
)

T = TypeVar("T")


@dataclasses.dataclass
class Mesh:
    vertices: list[int]
    name: str = "mesh"

    def __post_init__(self) -> None:
        self.count = len(self.vertices)


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int


@dataclasses.dataclass
class Slotted:
    __slots__ = ("__own", "x")
    x: int


@dataclasses.dataclass
class Guarded:
    x: int
    kind: dataclasses.InitVar[str] = ""

    def __init__(self, *_: object) -> None:
        raise AssertionError("the receiver must not call this")

    def __setattr__(self, name: str, value: object) -> None:
        raise AssertionError("the receiver must not call this")

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"nobody must call this for {name}")


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


class Undecorated(Mesh):
    pass


@dataclasses.dataclass
class WithPickling(Mesh):
    def __getstate__(self) -> object:
        return {}


@dataclasses.dataclass
class InheritsPickling(WithPickling):
    pass


@dataclasses.dataclass
class WithFinaliser:
    x: int

    def __del__(self) -> None:
        pass


@dataclasses.dataclass
class IsDict(dict):  # type: ignore[type-arg]
    x: int


@dataclasses.dataclass
class IsError(Exception):
    x: int


@dataclasses.dataclass
class Abstract(abc.ABC):
    x: int

    @abc.abstractmethod
    def area(self) -> float: ...


class Plain:
    pass


class Point(NamedTuple):
    x: int
    y: Any = 0


class Labelled(collections.namedtuple("Labelled", "a b")):  # noqa: SLOT002
    def __new__(cls, *_: object) -> Labelled:
        raise AssertionError("the receiver must not call this")


class CountingTuple(tuple):  # type: ignore[type-arg]
    __slots__ = ()
    _fields = "xy"


def travelled(value: Any) -> Any:
    """As the codec does it, where both sides have the class."""
    known = fingerprint(type(value))
    assert known is not None and is_known(*known)
    if issubclass(type(value), tuple):
        return build_named_tuple(known[0], known[1], values_of(value))
    made = new_instance(known[0], known[1])
    fill_instance(made, attributes_of(value))
    return made


def local_class() -> type:
    @dataclasses.dataclass
    class Hidden:
        x: int

    return Hidden


@pytest.mark.parametrize(
    "kind",
    [
        Plain,
        Undecorated,
        WithPickling,
        InheritsPickling,
        WithFinaliser,
        IsDict,
        IsError,
        Abstract,
        CountingTuple,
        local_class(),
        dataclasses.make_dataclass("Made", ["x"]),
        collections.namedtuple("Made", "x"),
        object,
        int,
        tuple,
        dict,
        type,
        io.FileIO,
        types.ModuleType,
        type(sys.version_info),
        enum.Enum,
    ],
    ids=lambda kind: kind.__name__,
)
def test_class_that_must_stay_has_no_fingerprint(kind: type) -> None:
    assert fingerprint(kind) is None


def test_class_of_the_main_program_has_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Frozen, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Frozen", Frozen, raising=False)
    assert fingerprint(Frozen) is None


def test_class_that_was_replaced_under_its_name_has_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Frozen
    monkeypatch.setitem(globals(), "Frozen", dataclasses.make_dataclass("Frozen", ["x"]))
    assert fingerprint(old) is None


def test_torch_module_has_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    module_class = type("Module", (), {})
    fake = types.SimpleNamespace(nn=types.SimpleNamespace(Module=module_class))
    monkeypatch.setitem(sys.modules, "torch", fake)  # type: ignore[arg-type]
    kind = dataclasses.dataclass(
        type("Net", (module_class,), {"__annotations__": {"x": int}, "__module__": __name__})
    )
    monkeypatch.setitem(globals(), "Net", kind)
    assert find_class(__name__, "Net") is kind and fingerprint(kind) is None


@pytest.mark.parametrize(
    ("module", "qualname", "fields"),
    [
        (__name__, "Frozen", ("x", "y")),
        (__name__, "Frozen", ()),
        (__name__, "Missing", ("x",)),
        (__name__, "Plain", ()),
        ("no.such.module", "Frozen", ("x",)),
        ("subprocess", "Popen", ()),
        ("os", "system", ()),
        (__name__, "Mesh.__init__", ()),
        ("", "", ()),
        (__name__, "", ()),
        ("builtins", "object", ()),
        ("comfy_execution.graph_utils", "GraphBuilder", ()),
    ],
)
def test_class_of_another_shape_or_none_is_not_known(
    module: str, qualname: str, fields: tuple[str, ...]
) -> None:
    assert not is_known(module, qualname, fields)


@pytest.mark.parametrize(
    "question", [(["x"], "y", ()), ("x", 5, ()), (__name__, "Frozen", range(10**15)), ("x", "y", 1)]
)
def test_question_that_is_none_is_an_ordinary_error(question: Any) -> None:
    with pytest.raises(TypeError):
        is_known(*question)


def test_question_imports_nothing_and_runs_no_module_code(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules.pop("this", None)
    assert not is_known("this", "Anything", ())
    assert "this" not in sys.modules

    def explode(name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    lazy = types.ModuleType("lazy_module")
    vars(lazy)["__getattr__"] = explode
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    assert not is_known("lazy_module", "Heavy", ()) and find_class("lazy_module", "Heavy.Inner") is None


@pytest.mark.parametrize("name", [("subprocess", "Popen"), (__name__, "Plain"), (__name__, "WithFinaliser")])
def test_class_that_may_not_travel_is_never_made(name: tuple[str, str]) -> None:
    with pytest.raises(DecodeError, match=f"{name[1]} is not a class that may be rebuilt"):
        new_instance(*name)
    with pytest.raises(DecodeError, match=f"{name[1]} is not a class that may be rebuilt"):
        build_named_tuple(*name, [])


def test_hostile_attributes_and_values_are_ordinary_errors() -> None:
    for attributes in (None, [1], {1: 2}, "x"):
        with pytest.raises(TypeError):
            fill_instance(new_instance(__name__, "Mesh"), attributes)
    with pytest.raises(TypeError, match="no attribute 'y' here"):
        fill_instance(new_instance(__name__, "Slotted"), {"y": 1})
    for values in ([1], [1, 2, 3], [1, 2, {"a": 1}, 4], range(2), None):
        with pytest.raises((TypeError, ValueError)):
            build_named_tuple(__name__, "Point", values)
    with pytest.raises(ValueError, match="do not make a Mesh"):
        build_named_tuple(__name__, "Mesh", [])
    with pytest.raises((TypeError, DecodeError)):
        new_instance(["x"], None)  # type: ignore[arg-type]


def test_dataclass_arrives_with_fields_and_everything_else_it_has() -> None:
    mesh = Mesh([1, 2])
    mesh.colour = "red"  # type: ignore[attr-defined]
    back = travelled(mesh)
    assert type(back) is Mesh and back == mesh and vars(back) == vars(mesh) and back.count == 2
    assert travelled(Frozen(3)) == Frozen(3)
    assert travelled(Box((1,))) == Box((1,))


def test_slots_arrive_also_private_ones_and_unset_ones_stay_unset() -> None:
    value = Slotted(5)
    assert attributes_of(value) == {"x": 5}
    value._Slotted__own = "mine"  # type: ignore[attr-defined]
    back = travelled(value)
    assert back == value and back._Slotted__own == "mine"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="dataclass(slots=True) is younger")
def test_slots_written_by_dataclass_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"__annotations__": {"x": int}, "__module__": __name__, "__qualname__": "Narrow"}
    kind: Any = dataclasses.dataclass(frozen=True, slots=True)(type("Narrow", (), body))
    monkeypatch.setitem(globals(), "Narrow", kind)
    assert travelled(kind(3)) == kind(3)


def test_no_code_of_the_class_runs_on_either_side() -> None:
    value = object.__new__(Guarded)
    fill_instance(value, {"x": 1})
    assert fingerprint(Guarded) == (__name__, "Guarded", ("x",))
    assert attributes_of(travelled(value)) == {"x": 1}


def test_named_tuples_arrive_with_what_hangs_on_them() -> None:
    assert travelled(Point(1)) == Point(1) and type(travelled(Point(1))) is Point
    labelled = tuple.__new__(Labelled, (1, 2))
    labelled.note = "n"  # type: ignore[attr-defined]
    back = travelled(labelled)
    assert type(back) is Labelled and back.b == 2 and back.note == "n"
