"""An object that one worker made, used in another: by pickle, by its pack's codec, or explained."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path
from typing import Any

import numpy
import pytest
from nodecalls import Nodes, eventually, start_nodes
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.wire import DeadHandle, ForeignHandle, Handle, SegmentMemory
from comfy_env_core.wire.objects.parcel_errors import CodecFileError

SHAPES = """
class Shape:
    def __init__(self, points):
        self.points = points
    def area(self):
        return float(self.points.sum())
"""
MAKE_BEFORE = """
import os, sys
import numpy

class Mesh:
    def __init__(self, points):
        self.points = points

class Doomed:
    def __reduce__(self):
        os._exit(7)
"""
MAKE = """
def shape(self, count):
    from shapes import Shape
    self.kept = Shape(numpy.ones(count, numpy.float32))
    return self.kept
def mesh(self, count):
    self.kept = Mesh(numpy.ones(count, numpy.float32))
    return self.kept
def doomed(self):
    return Doomed()
def same(self, thing):
    return thing is self.kept
def loaded(self):
    return "comfy_env_core.wire.objects.codec_files" in sys.modules
"""
USE_BEFORE = "import sys\n"
USE = """
def look(self, shape):
    shape.points[0] = 5
    return type(shape).__module__, type(shape).__name__, shape.area(), shape.points
def keep(self, thing):
    self.kept = [thing]
    return repr(thing)
def kept_one(self):
    return self.kept[0]
def use(self, thing):
    return thing.points
def use_kept(self):
    return self.kept[0].points
def loaded(self):
    return "comfy_env_core.wire.objects.codec_files" in sys.modules
"""
CODEC = """
from comfy_env import register_serializer

def pack(mesh, recurse):
    return {"points": mesh.points, "name": recurse("a mesh")}

def unpack(content, recurse):
    class PlainMesh:
        pass
    mesh = PlainMesh()
    mesh.points = recurse(content["points"])
    mesh.area = lambda: float(mesh.points.sum())
    return mesh

register_serializer("Mesh", pack, unpack, tag="mesh-pack.Mesh")
"""
BIG = 500_000


class Two:
    """The environments "mesh-pack", which makes objects, and "paint-pack", which uses them; ComfyUI's memory."""

    def __init__(self, folder: Path, start: StartWorker) -> None:
        self.memory = SegmentMemory()
        self._folder = folder
        self._start = start
        self.library = folder / "library"
        self.library.mkdir()
        (self.library / "shapes.py").write_text(textwrap.dedent(SHAPES))

    def make(self, **changes: Any) -> Nodes:
        env_vars = {"PYTHONPATH": str(self.library)}
        facts = {"pack_name": "mesh-pack", "env_vars": env_vars, "memory": self.memory, **changes}
        return start_nodes(self._folder / "make", self._start, MAKE, MAKE_BEFORE, **facts)

    def use(self, *, has_library: bool = False, **changes: Any) -> Nodes:
        env_vars = {"PYTHONPATH": str(self.library)} if has_library else {}
        facts = {"pack_name": "paint-pack", "env_vars": env_vars, "memory": self.memory, **changes}
        return start_nodes(self._folder / "use", self._start, USE, USE_BEFORE, **facts)

    def codec_file(self, text: str = CODEC) -> Path:
        path = self._folder / "serialization.py"
        path.write_text(textwrap.dedent(text))
        return path


@pytest.fixture
def two(tmp_path: Path, start_worker: StartWorker) -> Two:
    return Two(tmp_path, start_worker)


# -- it cannot be had ---------------------------------------------------------------------------------------------


def test_object_whose_class_is_missing_passes_through_explains_itself_and_goes_home(two: Two) -> None:
    maker, user = two.make(), two.use()
    shape = maker.get("shape", 10)
    assert user.get("keep", shape) == "<shapes.Shape of worker mesh-pack, not usable in worker paint-pack>"
    with pytest.raises(ForeignHandle) as caught:
        user.get("use", shape)
    for part in (
        "its attribute 'points'",
        "a shapes.Shape that lives in worker mesh-pack",
        "the module 'shapes' is not installed",
        "in the environment of worker paint-pack",
        "register a codec for 'Shape'",
    ):
        assert part in str(caught.value)
    assert user.get("kept_one") is shape
    assert maker.get("same", user.get("kept_one")) is True


def test_environment_with_another_python_and_without_numpy_explains_too(two: Two, bare_python: str) -> None:
    maker, user = two.make(), two.use(has_library=True, python=bare_python)
    shape = maker.get("shape", 10)
    with pytest.raises(ForeignHandle, match="numpy"):
        user.get("use", shape)
    assert maker.get("same", user("keep", shape).result(PATIENCE_S) and user.get("kept_one")) is True


def test_object_of_a_dead_worker_is_a_dead_handle_everywhere(two: Two) -> None:
    maker, user = two.make(), two.use()
    shape = maker.get("shape", 10)
    user.get("keep", shape)
    _kill(maker)
    with pytest.raises(DeadHandle, match=r"Shape lived in worker mesh-pack"):
        user.get("use", shape)
    with pytest.raises(ForeignHandle, match="'shapes' is not installed"):
        user.get("use_kept")
    with pytest.raises(DeadHandle):
        user.get("use", user.get("kept_one"))


def test_worker_that_dies_while_it_packs_an_object_leaves_a_dead_handle(two: Two) -> None:
    maker, user = two.make(), two.use()
    doomed = maker.get("doomed")
    with pytest.raises(DeadHandle, match=r"Doomed lived in worker mesh-pack"):
        user.get("keep", doomed)
    assert user.get("loaded") is False


def test_codecs_that_cannot_be_loaded_fail_the_call_with_file_and_line_and_are_logged_once(two: Two) -> None:
    path = two.codec_file("x = 1\nfrobnicate()\n")
    maker, user = two.make(codec_file=path), two.use()
    mesh = maker.get("mesh", 10)
    for _ in range(2):
        with pytest.raises(CodecFileError, match=rf"{path}:2: NameError.*frobnicate"):
            user.get("keep", mesh)
    log = maker.worker.spec.log_path
    eventually(lambda: "frobnicate" in log.read_text())
    assert log.read_text().count("frobnicate") == 1


def test_codecs_that_are_missing_are_told_with_the_remedy(two: Two, tmp_path: Path) -> None:
    maker, user = two.make(codec_file=tmp_path / "serialization.py"), two.use()
    with pytest.raises(CodecFileError, match=r'serialization.py: there is no such file.*"builtin"'):
        user.get("keep", maker.get("mesh", 10))


def test_codecs_that_cannot_be_loaded_where_the_object_arrives_are_its_explanation(two: Two) -> None:
    path = two.codec_file(CODEC)
    broken = path.with_name("broken.py")
    broken.write_text("import no_such_library\n")
    maker, user = two.make(codec_file=path), two.use(codec_file=broken)
    with pytest.raises(
        ForeignHandle,
        match=r"no codec here unpacks 'mesh-pack.Mesh' \(.*broken.py:1: ModuleNotFoundError",
    ):
        user.get("use", maker.get("mesh", 10))


# -- it can -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, BIG])
def test_object_is_pickled_where_both_can_import_its_class_and_its_arrays_are_not_copied_in_between(
    two: Two, count: int
) -> None:
    maker, user = two.make(), two.use(has_library=True)
    shape = maker.get("shape", count)
    assert issubclass(type(shape), Handle)
    module, name, area, points = user.get("look", shape)
    assert (module, name, area) == ("shapes", "Shape", count + 4.0)
    assert isinstance(points, numpy.ndarray) and points[0] == 5
    assert two.memory.statistics().used_bytes == 0
    assert shape.area() == count, "the maker's own is not changed by what is done to the copy"


@pytest.mark.parametrize("of_own_pack", [True, False])
def test_object_goes_by_the_codec_of_its_pack(two: Two, of_own_pack: bool) -> None:
    path = two.codec_file()
    maker = two.make(codec_file=path)
    user = two.use(codec_file=path) if of_own_pack else two.use(other_codec_files=(path,))
    mesh = maker.get("mesh", BIG)
    assert not maker.get("loaded") and not user.get("loaded")
    _, name, area, _ = user.get("look", mesh)
    assert (name, area) == ("PlainMesh", BIG + 4.0)
    assert maker.get("loaded") and user.get("loaded")
    assert two.memory.statistics().used_bytes == 0


def test_codec_of_another_pack_that_fails_does_not_hide_the_right_one(two: Two) -> None:
    path = two.codec_file()
    broken = path.with_name("broken.py")
    broken.write_text("import no_such_library\n")
    maker, user = two.make(codec_file=path), two.use(other_codec_files=(broken, path))
    assert user.get("look", maker.get("mesh", 10))[1] == "PlainMesh"


def test_nothing_stays_lent_after_an_object_went_to_another_environment(two: Two) -> None:
    maker, user = two.make(), two.use(has_library=True)
    shape = maker.get("shape", BIG)
    result = user.get("look", shape)
    del shape, result
    for nodes in (maker, user):
        nodes.worker.notify("forget", [["1"]])
        eventually(lambda nodes=nodes: nodes.lent_by_host() == 0)  # type: ignore[misc]
        eventually(lambda nodes=nodes: nodes.get("lent", instance="0") == 0)  # type: ignore[misc]


def _kill(nodes: Nodes) -> None:
    pid = nodes.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not nodes.worker.is_alive)
