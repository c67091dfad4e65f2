"""The real thing in another process: pickled in parts or packed by a codec, opened in a second interpreter."""

from __future__ import annotations

import collections
import datetime
import enum
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
import numpy
import pytest

from comfy_env_core.wire.objects import codecs as codecs_module
from comfy_env_core.wire.objects.allowed import host_allow_list
from comfy_env_core.wire.objects.codecs import Codec, Codecs
from comfy_env_core.wire.objects.handles import BorrowedObjects
from comfy_env_core.wire.objects.live import Handle
from comfy_env_core.wire.objects.parcel import Parcel
from comfy_env_core.wire.objects.parcel_errors import MissingHere, ParcelError
from comfy_env_core.wire.objects.parcels import make_parcel, open_parcel

PACKAGE_ROOT = Path(codecs_module.__file__).parents[2]

#: Stands for the codec of the wire: parcels, arrays and buffers as msgpack, the way `codec.py` sends them by segments.
CARRIER = """
import msgpack, numpy
from comfy_env_core.wire.objects.parcel import Parcel

def pack(value):
    return msgpack.packb(value, default=_out, strict_types=True)

def _out(value):
    if isinstance(value, Parcel):
        return msgpack.ExtType(1, pack([value.type_name, value.how, value.tag, value.content]))
    if isinstance(value, numpy.ndarray):
        return msgpack.ExtType(2, pack([value.dtype.str, list(value.shape), value.tobytes()]))
    if isinstance(value, memoryview):
        return msgpack.ExtType(3, bytes(value))
    if isinstance(value, tuple):
        return msgpack.ExtType(4, pack(list(value)))
    raise TypeError(f"{value!r} is not what a parcel may hold")

def unpack(data):
    return msgpack.unpackb(data, ext_hook=_in, strict_map_key=False)

def _in(code, data):
    if code == 1:
        return Parcel(*unpack(data))
    if code == 2:
        dtype, shape, content = unpack(data)
        return numpy.frombuffer(bytearray(content), dtype).reshape(shape)
    return memoryview(bytearray(data)) if code == 3 else tuple(unpack(data))
"""

CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from carrier import pack, unpack
from comfy_env_core.wire.objects.codec_files import load_codecs
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.parcels import open_parcel, make_parcel
from comfy_env_core.wire.objects.parcel_errors import ParcelError
codecs = Codecs()
parcel = unpack(sys.stdin.buffer.read())
try:
    value = open_parcel(parcel, codecs, None)
    exec(sys.argv[2])
    back = make_parcel(value, codecs)
except ParcelError as error:
    back = [type(error).__name__, str(error), getattr(error, "missing", "")]
sys.stdout.buffer.write(pack(back))
"""

PACK_MODULE = """
import numpy

class Mesh:
    def __init__(self, vertices):
        self.vertices = vertices
        self.faces = vertices
        self.parent = self

class Tracked(numpy.ndarray):
    pass

class Slotted:
    __slots__ = ("mesh",)
"""


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that a second process can import as well, from `tmp_path`; yields it imported here."""
    (tmp_path / "carrier.py").write_text(CARRIER)
    (tmp_path / "geometry_pack.py").write_text(PACK_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("geometry_pack", "carrier"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import geometry_pack  # type: ignore[import-not-found]

    yield geometry_pack
    for name in ("geometry_pack", "carrier"):
        sys.modules.pop(name, None)


@pytest.fixture
def elsewhere(tmp_path: Path, pack: Any) -> Callable[..., Any]:
    """Opens a parcel in a second process, does something with `value`, and gives what that process packed again."""
    import carrier  # type: ignore[import-not-found]

    def run(parcel: Parcel, action: str = "pass", prepare: str = "") -> Any:
        script = CHILD.replace("codecs = Codecs()", f"codecs = Codecs()\n{textwrap.dedent(prepare)}")
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), action],
            input=carrier.pack(parcel),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE_ROOT), *sys.path])},
            check=True,
            timeout=60,
        )
        return carrier.unpack(done.stdout)

    return run


def reopened(value: object, codecs: Codecs | None = None) -> Any:
    codecs = codecs or Codecs()
    return open_parcel(make_parcel(value, codecs), codecs, None)


def test_what_cannot_be_pickled_is_named_by_its_path_and_type(pack: Any) -> None:
    mesh = pack.Mesh(numpy.zeros(3))
    mesh.cache = {"locks": [1, threading.Lock()]}
    with pytest.raises(
        ParcelError, match=r"geometry_pack.Mesh cannot be copied.*\.cache\['locks'\]\[1\], a _thread.lock"
    ):
        make_parcel(mesh, Codecs())
    slotted = pack.Slotted()
    slotted.mesh = lambda: 0
    with pytest.raises(ParcelError, match=r"its part \.mesh, a function.*register a codec"):
        make_parcel(slotted, Codecs())
    with pytest.raises(ParcelError, match=r"it cannot be pickled"):
        make_parcel(threading.Lock(), Codecs())


def test_missing_module_is_named_where_it_is_missing(
    pack: Any, elsewhere: Callable[..., Any], tmp_path: Path
) -> None:
    parcel = make_parcel(pack.Mesh(numpy.zeros(3)), Codecs())
    (tmp_path / "geometry_pack.py").unlink()
    kind, told, missing = elsewhere(parcel)
    assert kind == "MissingHere" and missing == "the module 'geometry_pack' is not installed"
    assert "geometry_pack.Mesh cannot be rebuilt" in told and "comfy-env.toml" in told


def test_missing_class_is_named(pack: Any, elsewhere: Callable[..., Any], tmp_path: Path) -> None:
    parcel = make_parcel(pack.Mesh(numpy.zeros(3)), Codecs())
    (tmp_path / "geometry_pack.py").write_text("# an older version\n")
    kind, _, missing = elsewhere(parcel)
    assert (kind, missing) == ("MissingHere", "the module 'geometry_pack' here has no 'Mesh'")


def test_damaged_or_foreign_parcels_are_parcel_errors() -> None:
    for content in ([], [b"", [], []], [b"\x80\x05.", [], []], [b"cos\nsystem", [], []], None, 5):
        with pytest.raises(ParcelError, match=r"pack\.Mesh"):
            open_parcel(Parcel("pack.Mesh", "pickle", "", content), Codecs(), None)
        with pytest.raises(ParcelError, match=r"pack\.Mesh"):
            open_parcel(Parcel("pack.Mesh", "pickle", "", content), Codecs(), host_allow_list())
    with pytest.raises(ParcelError, match="unknown way, 'json'"):
        open_parcel(Parcel("pack.Mesh", "json", "", None), Codecs(), None)


def test_constructor_that_fails_elsewhere_is_told(
    pack: Any, elsewhere: Callable[..., Any], tmp_path: Path
) -> None:
    parcel = make_parcel(pack.Mesh(numpy.zeros(3)), Codecs())
    (tmp_path / "geometry_pack.py").write_text(
        "class Mesh:\n    def __setstate__(self, state):\n        raise ValueError('layout 2')\n"
    )
    kind, told, _ = elsewhere(parcel)
    assert kind == "ParcelError" and "ValueError: layout 2" in told and "different versions" in told


def test_object_with_arrays_is_rebuilt_in_another_process(pack: Any, elsewhere: Callable[..., Any]) -> None:
    mesh = pack.Mesh(numpy.arange(100_000.0).reshape(-1, 4))
    parcel = make_parcel(mesh, Codecs())
    assert parcel.type_name == "geometry_pack.Mesh" and parcel.how == "pickle"
    data, parts, buffers = parcel.content
    assert len(data) < 500 and parts[0] is mesh.vertices and len(parts) == 1 and buffers == []
    back = elsewhere(
        parcel,
        "assert value.faces is value.vertices and value.parent is value; value.vertices *= 2; value.tag = 'seen'",
    )
    again = open_parcel(back, Codecs(), None)
    assert type(again) is pack.Mesh and again.tag == "seen"  # type: ignore[attr-defined]
    assert numpy.array_equal(again.vertices, 2 * mesh.vertices) and again.faces is again.vertices  # type: ignore[attr-defined]


def test_arrays_of_objects_and_of_subclasses_stay_what_they_are(pack: Any) -> None:
    mesh = pack.Mesh(numpy.array([{"a": 1}, None, "x"], dtype=object))
    mesh.tracked = numpy.arange(6).reshape(2, 3).view(pack.Tracked)
    mesh.masked = numpy.ma.masked_array([1, 2, 3], [False, True, False])
    mesh.records = numpy.zeros(2, [("x", "f4"), ("y", "O")])
    mesh.scalar = numpy.float32(1.5)
    again = reopened(mesh)
    assert again.vertices.tolist() == [{"a": 1}, None, "x"]
    assert type(again.tracked) is pack.Tracked and again.tracked.tolist() == mesh.tracked.tolist()
    assert again.masked.tolist() == [1, None, 3] and again.records.dtype == mesh.records.dtype
    assert again.scalar == numpy.float32(1.5) and type(again.scalar) is numpy.float32


def test_large_buffers_stay_out_of_the_pickle_and_small_ones_in_it() -> None:
    parcel = make_parcel(
        {"large": numpy.zeros(10_000).view("V8"), "small": numpy.zeros(4).view("V8")}, Codecs()
    )
    data, parts, buffers = parcel.content
    assert parts == [] and [buffer.nbytes for buffer in buffers] == [80_000] and len(data) < 1000
    again = open_parcel(parcel, Codecs(), None)
    assert again["large"].shape == (10_000,) and again["small"].shape == (4,)  # type: ignore[index]


def test_handles_and_parcels_inside_an_object_travel_as_themselves(pack: Any) -> None:
    handle = Handle(BorrowedObjects("worker a"), 5, "other.Texture", 0)
    inner = Parcel("other.Thing", "codec", "unknown", {"a": 1})
    mesh = pack.Mesh([handle, inner])
    parcel = make_parcel(mesh, Codecs())
    assert parcel.content[1][0] is handle and parcel.content[1][1] is inner
    again: Any = open_parcel(parcel, Codecs(), None)
    assert again.vertices[0] is handle and again.vertices[1] is inner


@pytest.mark.parametrize("allowed", [None, host_allow_list()])
def test_library_that_renamed_a_module_is_found_under_either_name(allowed: Any) -> None:
    for module, name in (
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("pathlib._local", "PurePosixPath"),
        ("pathlib", "PurePosixPath"),
    ):
        data = f"c{module}\n{name}\n.".encode()
        found = open_parcel(Parcel("x", "pickle", "", [data, [], []]), Codecs(), allowed)
        assert getattr(found, "__name__", "") == name


class Colour(enum.Enum):
    RED = 1


class Nested:
    class Inner:
        pass


def register(codecs: Codecs, name: str, pack: Any, unpack: Any, tag: str = "") -> None:
    codecs.register(Codec(name, tag or name, pack, unpack, Path("serialization.py")))


def test_codec_of_the_class_or_of_its_nearest_base_is_used(pack: Any) -> None:
    class Special(pack.Mesh):  # type: ignore[misc]
        pass

    codecs = Codecs()
    register(
        codecs,
        "Mesh",
        lambda mesh, recurse: {"v": recurse(mesh.vertices)},
        lambda content, recurse: pack.Mesh(recurse(content["v"])),
        "geo.Mesh",
    )
    vertices = numpy.arange(3)
    parcel = make_parcel(Special(vertices), codecs)
    assert (parcel.how, parcel.tag) == ("codec", "geo.Mesh") and parcel.content["v"] is vertices
    assert type(reopened(Special(vertices), codecs)) is pack.Mesh
    register(codecs, "Special", lambda mesh, recurse: [1], lambda content, recurse: "special")
    assert reopened(Special(vertices), codecs) == "special"


def test_nested_values_that_would_be_handles_are_packed_too(pack: Any, elsewhere: Callable[..., Any]) -> None:
    codecs = Codecs()
    prepare = """
        from pathlib import Path
        from comfy_env_core.wire.objects.codecs import Codec
        from geometry_pack import Mesh
        def rebuild(content, recurse):
            assert recurse(content["v"]).shape == (2, 3)
            mesh = Mesh(recurse(content["v"]))
            mesh.material = recurse(content["material"])
            mesh.notes = recurse(content["notes"])
            return mesh
        def tell(mesh, recurse):
            return [type(mesh.material).__name__, repr(mesh.notes["when"])]
        codecs.register(Codec("Mesh", "Mesh", tell, rebuild, Path("s.py")))
    """
    mesh = pack.Mesh(numpy.zeros((2, 3)).view(pack.Tracked))
    mesh.material = pack.Slotted()
    mesh.notes = {"inner": [pack.Slotted()], "when": (1, 2)}
    register(
        codecs,
        "Mesh",
        lambda mesh, recurse: {
            "v": recurse(mesh.vertices),
            "material": recurse(mesh.material),
            "notes": recurse(mesh.notes),
        },
        None,
    )
    parcel = make_parcel(mesh, codecs)
    assert type(parcel.content["v"]) is numpy.ndarray, "a tracking subclass is an array to the other side"
    assert type(parcel.content["material"]) is Parcel and type(parcel.content["notes"]["inner"][0]) is Parcel
    back = elsewhere(parcel, prepare=prepare)
    assert back.content == ["Slotted", "(1, 2)"]


def test_nested_value_that_cannot_be_packed_is_an_error_the_codec_can_catch(pack: Any) -> None:
    def careful(mesh: Any, recurse: Callable[[Any], Any]) -> Any:
        try:
            return {"lock": recurse(mesh.lock)}
        except Exception:  # noqa: BLE001  # as packs write it
            return {"lock": None}

    mesh = pack.Mesh(0)
    mesh.lock = threading.Lock()
    codecs = Codecs()
    register(codecs, "Mesh", careful, None)
    assert make_parcel(mesh, codecs).content == {"lock": None}
    register(codecs, "Mesh", lambda mesh, recurse: {"lock": recurse(mesh.lock)}, None)
    with pytest.raises(ParcelError, match=r"codec 'Mesh' \(serialization.py\) failed"):
        make_parcel(mesh, codecs)


def test_codec_that_fails_is_named_with_its_file() -> None:
    codecs = Codecs()
    register(codecs, "Nested", lambda value, recurse: value.nothing, lambda content, recurse: 1 / 0)
    with pytest.raises(ParcelError, match=r"codec 'Nested' \(serialization.py\) failed with AttributeError"):
        make_parcel(Nested(), codecs)
    with pytest.raises(ParcelError, match=r"a.Nested cannot be rebuilt.*ZeroDivisionError"):
        open_parcel(Parcel("a.Nested", "codec", "Nested", 1), codecs, None)
    endless: list[Any] = []
    endless.append(endless)
    register(codecs, "Nested", lambda value, recurse: endless, None)
    with pytest.raises(ParcelError, match="nested deeper"):
        make_parcel(Nested(), codecs)


def test_parcel_nobody_here_can_open_is_passed_on_without_loss(
    pack: Any, elsewhere: Callable[..., Any]
) -> None:
    sender, between = Codecs(), Codecs()
    register(sender, "Mesh", lambda mesh, recurse: {"v": recurse(mesh.vertices)}, None, "geo.Mesh")
    parcel = make_parcel(pack.Mesh(numpy.arange(4)), sender)
    with pytest.raises(MissingHere, match=r"no codec here unpacks 'geo.Mesh'"):
        open_parcel(parcel, between, None)
    with pytest.raises(MissingHere, match=r"registers no function to deserialise"):
        open_parcel(parcel, sender, None)
    back = elsewhere(
        parcel,
        prepare="""
            from pathlib import Path
            from comfy_env_core.wire.objects.codecs import Codec
            def as_list(content, recurse):
                return content["v"].tolist()
            codecs.register(Codec("list", "geo.Mesh", lambda value, recurse: value, as_list, Path("s.py")))
        """,
    )
    assert back.content == [0, 1, 2, 3]


def test_codec_that_needs_a_missing_module_says_so() -> None:
    codecs = Codecs()

    def unpack(content: Any, recurse: Any) -> Any:
        import no_such_mesh_library  # type: ignore[import-not-found]

        return no_such_mesh_library

    register(codecs, "Mesh", lambda mesh, recurse: 0, unpack)
    with pytest.raises(MissingHere, match="no_such_mesh_library"):
        open_parcel(Parcel("a.Mesh", "codec", "Mesh", 0), codecs, None)


class Pair(NamedTuple):
    left: Any
    right: Any


def test_ordinary_objects_keep_their_shape() -> None:
    for value in (
        collections.OrderedDict(a=1), collections.deque([1], 3), datetime.datetime(2024, 5, 6),  # noqa: DTZ001
        Colour.RED, {1, 2}, Pair(1, [2]), pathlib.Path("a"), range(3), ValueError("x", 1).args,
    ):  # fmt: skip
        assert reopened(value) == value


def test_the_carrier_of_these_tests_sends_nothing_it_does_not_know() -> None:
    with pytest.raises(TypeError):
        msgpack.packb(Nested())
