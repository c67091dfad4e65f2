"""What ComfyUI's process rebuilds from pickles of workers, and the attacks it refuses."""

from __future__ import annotations

import collections
import datetime
import decimal
import os
import pathlib
import pickle
import re
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from comfy_env_core.wire.objects.allowed import host_allow_list
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.parcel import Parcel
from comfy_env_core.wire.objects.parcel_errors import MissingHere, ParcelError
from comfy_env_core.wire.objects.parcels import make_parcel, open_parcel

P = pickle


def text(value: str) -> bytes:
    return P.SHORT_BINUNICODE + bytes([len(value.encode())]) + value.encode()


def name(module: str, qualname: str) -> bytes:
    return text(module) + text(qualname) + P.STACK_GLOBAL


def opened(pickled: bytes, parts: list[Any] | None = None, declared: tuple[str, ...] = ()) -> Any:
    parcel = Parcel("evil.Mesh", "pickle", "", [memoryview(b"\x80\x05" + pickled + P.STOP), parts or [], []])
    return open_parcel(parcel, Codecs(), host_allow_list(declared))


def reopened(value: object, declared: tuple[str, ...] = ()) -> Any:
    return open_parcel(make_parcel(value, Codecs()), Codecs(), host_allow_list(declared))


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module of ComfyUI as it may be: imports things, has functions, classes, and a class made elsewhere."""
    source = """
import os, sys, subprocess, collections
from subprocess import Popen
from types import ModuleType as Imported

class Value:
    limit = 1
    def __init__(self, *args): self.args = args
    def append(self, item): raise AssertionError("called")
    def __call__(self, *args): raise AssertionError("called")
    class Inner: pass
    def method(self): pass
    @classmethod
    def load(cls, path): raise AssertionError("called")

class Meta(type): pass
class Module(Imported): pass
def load_file(path): raise AssertionError("called")
instance = Value()
shell = Popen
Alias = Value
"""
    package = types.ModuleType("comfy")
    package.__path__ = []
    module = types.ModuleType("comfy.values")
    exec(source, module.__dict__)
    package.values = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfy", package)
    monkeypatch.setitem(sys.modules, "comfy.values", module)
    yield module


REFUSED = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("subprocess", "call"),
    ("builtins", "eval"), ("builtins", "exec"), ("builtins", "compile"), ("builtins", "getattr"),
    ("builtins", "setattr"), ("builtins", "open"), ("builtins", "__import__"), ("builtins", "type"),
    ("builtins", "map"), ("builtins", "vars"), ("builtins", "globals"), ("builtins", "breakpoint"),
    ("builtins", "object.__subclasses__"), ("builtins", "list.__class__"), ("builtins", "BaseException"),
    ("__builtin__", "eval"), ("io", "open"), ("_io", "FileIO"), ("shutil", "rmtree"), ("socket", "socket"),
    ("importlib", "import_module"), ("runpy", "run_path"), ("code", "interact"), ("pickle", "loads"),
    ("_pickle", "loads"), ("marshal", "loads"), ("ctypes", "CDLL"), ("operator", "attrgetter"),
    ("operator", "methodcaller"), ("functools", "partial"), ("functools", "reduce"), ("types", "FunctionType"),
    ("types", "CodeType"), ("copyreg", "_reconstructor"), ("copyreg", "add_extension"), ("timeit", "timeit"),
    ("webbrowser", "open"), ("pty", "spawn"), ("pip", "main"), ("numpy", "load"), ("numpy", "fromfile"),
    ("numpy", "memmap"), ("numpy", "os.system"), ("numpy", "f2py"), ("numpy", "ndarray.__class__"),
    ("numpy.f2py.crackfortran", "myeval"), ("numpy.f2py.crackfortran", "getlincoef"),
    ("numpy.f2py.diagnose", "run_command"), ("numpy.testing._private.utils", "runstring"),
    ("numpy.testing", "runstring"), ("numpy._core.multiarray", "scalar"), ("numpy._core.multiarray", "fromfile"),
    ("numpy.random._pickle", "__generator_ctor"), ("numpy.lib.npyio", "load"), ("numpy.dtypes", "sys"),
    ("collections", "abc.sys"), ("collections", "_sys.modules"), ("collections", "namedtuple"),
    ("pathlib", "os.system"), ("pathlib", "Path.home"), ("pathlib", "Path.unlink"), ("datetime", "sys"),
    ("re", "enum.sys"), ("re", "_compile.__globals__"), ("decimal", "Decimal.from_float"),
    ("torch", "load"), ("torch", "save"), ("torch", "hub.load"), ("torch", "os.system"), ("torch", "Tensor"),
    ("torch", "from_file"), ("torch", "jit.load"), ("torch.serialization", "load"),
    ("torch.storage", "_load_from_bytes"), ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._tensor", "_rebuild_from_type_v2"), ("torch.hub", "load"), ("torch.package", "PackageImporter"),
    ("torch.fx.graph_module", "reduce_graph_module"), ("torch.utils.cpp_extension", "load"),
    ("torch.nn.modules.module", "torch.load"), ("torch.nn.modules.module", "functools.partial"),
    ("PIL.Image", "open"), ("PIL.EpsImagePlugin", "EpsImageFile"), ("PIL.ImageMath", "eval"),
    ("comfy", "values.os.system"), ("comfy.values", "os.system"), ("comfy.values", "sys.modules"),
    ("comfy.values", "load_file"), ("comfy.values", "instance"), ("comfy.values", "shell"),
    ("comfy.values", "Popen"), ("comfy.values", "subprocess.Popen"), ("comfy.values", "Alias"),
    ("comfy.values", "Meta"), ("comfy.values", "Module"), ("comfy.values", "Imported"),
    ("comfy.values", "collections.OrderedDict"), ("comfy.values", "Value.method"), ("comfy.values", "Value.load"),
    ("comfy.values", "Value.__init__"), ("comfy.values", "Value.__init__.__globals__"),
    ("comfy.values", "__builtins__"), ("comfy.values", "__dict__"), ("comfy.__main__", "Value"), ("comfy", "values"),
    ("comfyx.values", "Value"), ("nodes_of_a_pack", "Value"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "qualname"), REFUSED)
def test_name_is_refused(comfy: Any, module: str, qualname: str) -> None:
    before = set(sys.modules)
    for wanted in (name(module, qualname), P.GLOBAL + f"{module}\n{qualname}\n".encode()):
        with pytest.raises(ParcelError, match=r"evil\.Mesh") as caught:
            opened(wanted)
        assert type(caught.value) is ParcelError or "torch" in module
    assert not {
        loaded for loaded in set(sys.modules) - before if loaded.partition(".")[0] not in ("torch", "comfy")
    }


def test_refusal_names_type_what_was_asked_for_and_the_remedy() -> None:
    with pytest.raises(ParcelError, match=r"evil.Mesh was not rebuilt.*asks for os.system.*register a codec"):
        opened(name("os", "system"))


class Attack:
    """Pickles as whatever it is told to."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("function", [os.system, eval, exec, getattr, __import__, open, numpy.load])
def test_call_hidden_in_an_object_is_not_made(function: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = f"touch {mark}" if function is os.system else f"__import__('os').system('touch {mark}')"
    with pytest.raises(ParcelError, match="asks for"):
        reopened({"a": [Attack(function, command)]})
    assert not mark.exists()


VALUE = name("comfy.values", "Value")
STATE = P.EMPTY_DICT + text("limit") + P.BININT1 + b"\x09" + P.SETITEM
ATTACKS: dict[str, bytes] = {
    "calls an instance": VALUE + P.EMPTY_TUPLE + P.REDUCE + P.EMPTY_TUPLE + P.REDUCE,
    "makes an object of something that is no class": P.NONE + P.EMPTY_TUPLE + P.NEWOBJ,
    "makes an object of a text": text("x") + P.EMPTY_TUPLE + P.EMPTY_DICT + P.NEWOBJ_EX,
    "instantiates an instance the old way": P.MARK + VALUE + P.EMPTY_TUPLE + P.REDUCE + P.OBJ,
    "changes a class attribute": VALUE + P.NONE + STATE + P.TUPLE2 + P.BUILD,
    "changes a class's dict": VALUE + STATE + P.BUILD,
    "appends to a class": VALUE + P.NONE + P.APPEND,
    "appends more to a class": VALUE + P.MARK + P.NONE + P.APPENDS,
    "sets an item of a class": VALUE + P.NONE + P.NONE + P.SETITEM,
    "sets items of a class": VALUE + P.MARK + P.NONE + P.NONE + P.SETITEMS,
    "adds to a class": VALUE + P.MARK + P.NONE + P.ADDITEMS,
    "changes a listed function": name("re", "_compile") + P.NONE + STATE + P.TUPLE2 + P.BUILD,
    "uses an extension code": P.EXT1 + b"\x01",
    "uses a longer extension code": P.EXT4 + b"\x01\x00\x00\x00",
    "reserves memory through an array": name("numpy", "ndarray") + P.BININT1 + b"\x05" + P.TUPLE1 + P.REDUCE,
    "makes an array directly": name("numpy", "ndarray") + P.BININT1 + b"\x05" + P.TUPLE1 + P.NEWOBJ,
    "asks for a part that did not come": P.MARK + text("array") + P.BININT1 + b"\x05" + P.NONE + P.TUPLE + P.BINPERSID,
    "asks for an unknown kind of part": P.MARK + text("file") + P.BININT1 + b"\x00" + P.NONE + P.TUPLE + P.BINPERSID,
    "ends too early": VALUE + P.EMPTY_TUPLE,
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_opcodes_do_not_reach_past_the_list(comfy: Any, attack: str) -> None:
    before = dict(vars(comfy.Value))
    result: Any = None
    try:
        result = opened(ATTACKS[attack])
    except ParcelError as error:
        assert "evil.Mesh" in str(error)
    else:
        assert attack == "ends too early" and result == ()
    assert dict(vars(comfy.Value)) == before
    assert not hasattr(re._compile, "limit")  # type: ignore[attr-defined]


def test_object_of_this_process_that_came_home_is_neither_called_nor_changed() -> None:
    called: list[Any] = []
    take = P.MARK + text("object") + P.BININT1 + b"\x00" + P.NONE + P.TUPLE + P.BINPERSID
    with pytest.raises(ParcelError, match="calls"):
        opened(take + P.NONE + P.TUPLE1 + P.REDUCE, [called.append])
    with pytest.raises(ParcelError, match="changes"):
        opened(take + P.NONE + P.APPEND, [called])
    with pytest.raises(ParcelError, match="changes"):
        opened(take + P.EMPTY_DICT + text("x") + P.NONE + P.SETITEM + P.BUILD, [types.ModuleType("host")])
    assert called == []


@pytest.mark.parametrize("entry", ["os", "subprocess:Popen", "builtins:eval", "sys", "", "../x", "a-b"])
def test_part_of_python_cannot_be_declared(entry: str) -> None:
    with pytest.raises(ParcelError, match="cannot be declared"):
        host_allow_list([entry])


def test_what_is_declared_is_rebuilt_and_nothing_else_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "declared_lib.py").write_text(
        "import os\nclass Mesh:\n    class Face: pass\nclass Other: pass\ndef load(path): raise AssertionError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import declared_lib  # type: ignore[import-not-found]

    try:
        mesh = declared_lib.Mesh()
        mesh.faces = [declared_lib.Mesh.Face()]
        with pytest.raises(ParcelError, match=r"asks for declared_lib\.Mesh"):
            reopened(mesh)
        assert type(reopened(mesh, ("declared_lib",)).faces[0]) is declared_lib.Mesh.Face
        assert type(reopened(declared_lib.Other(), ("declared_lib:Other",))) is declared_lib.Other
        with pytest.raises(ParcelError, match=r"asks for declared_lib\.Mesh"):
            reopened(mesh, ("declared_lib:Other",))
        for qualname in ("load", "os.system", "os"):
            with pytest.raises(ParcelError, match="asks for"):
                opened(name("declared_lib", qualname), declared=("declared_lib",))
    finally:
        del sys.modules["declared_lib"]


def test_missing_package_that_is_allowed_is_missing_not_refused() -> None:
    with pytest.raises(MissingHere, match="'no_such_mesh_library' is not installed"):
        opened(name("no_such_mesh_library", "Mesh"), declared=("no_such_mesh_library",))


def test_classes_of_comfyui_are_rebuilt(comfy: Any) -> None:
    value = comfy.Value(1, [2])
    value.inner = comfy.Value.Inner()
    value.array = numpy.arange(3)
    value.itself = value
    comfy.Value.__module__ = comfy.Value.Inner.__module__ = "comfy.values"
    again = reopened(value)
    assert type(again) is comfy.Value and again.args == (1, [2]) and again.itself is again
    assert type(again.inner) is comfy.Value.Inner and again.array.tolist() == [0, 1, 2]


VALUES: list[Callable[[], Any]] = [
    lambda: [
        1,
        2.5,
        "x",
        b"y",
        None,
        True,
        (1,),
        {1: 2},
        {3},
        frozenset({4}),
        10**40,
        1j,
        ...,
        slice(1, 2),
        range(5),
    ],
    lambda: bytearray(b"abc"),
    lambda: collections.OrderedDict(b=1, a=2),
    lambda: collections.defaultdict(list, a=[1]),
    lambda: collections.deque([1, 2], 5),
    lambda: collections.Counter("aab"),
    lambda: datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc),
    lambda: datetime.timedelta(days=1),
    lambda: decimal.Decimal("1.5"),
    lambda: pathlib.PurePosixPath("/a/b"),
    lambda: uuid.UUID(int=5),
    lambda: re.compile("a+", re.I),
    lambda: types.SimpleNamespace(a=1),
    lambda: [numpy.float32(1), numpy.dtype("f8"), numpy.int64, numpy.dtype([("a", "i4"), ("b", "f4")])],
]


@pytest.mark.parametrize("make", VALUES)
def test_values_of_python_and_numpy_are_rebuilt(make: Callable[[], Any]) -> None:
    value = {"nested": [make()]}
    assert reopened(value) == value


def test_errors_are_rebuilt() -> None:
    error = reopened(ValueError("bad", 1))
    assert type(error) is ValueError and error.args == ("bad", 1)


def test_arrays_of_every_kind_are_rebuilt() -> None:
    again = reopened({
        "plain": numpy.arange(6).reshape(2, 3).T,
        "objects": numpy.array([None, {"a": 1}], dtype=object),
        "masked": numpy.ma.masked_array([1.0, 2.0], [False, True]),
        "records": numpy.array([(1, 2.0)], [("a", "i4"), ("b", "f4")]),
        "matrix": numpy.arange(4).view(numpy.ndarray).reshape(2, 2).view(numpy.recarray),
    })  # fmt: skip
    assert again["plain"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert again["objects"].tolist() == [None, {"a": 1}]
    assert again["masked"].tolist() == [1.0, None]
    assert again["records"]["b"].tolist() == [2.0]
    assert type(again["matrix"]) is numpy.recarray
