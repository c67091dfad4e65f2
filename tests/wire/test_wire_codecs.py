"""Loading a pack's serialization.py."""

from __future__ import annotations

import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.wire.objects.codec_files import STAND_INS, load_codecs
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.parcel_errors import CodecFileError
from comfy_env_core.wire.objects.parcels import make_parcel, open_parcel


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a serialization.py into a pack folder, and forgets the modules made of it."""

    def write_file(source: str, pack: str = "ComfyUI-Mesh Pack") -> Path:
        folder = tmp_path / pack
        folder.mkdir(exist_ok=True)
        path = folder / "serialization.py"
        path.write_text(textwrap.dedent(source))
        return path

    yield write_file
    for name in [name for name in sys.modules if name.startswith("_comfy_env_codecs_")]:
        del sys.modules[name]


BROKEN = [
    ("x = 1\ny = x.nothing\n", ":2: AttributeError: 'int' object has no attribute 'nothing'"),
    ("x = 1\ndef f(:\n", ":2: "),
    ("import no_such_library_of_a_pack\n", ":1: ModuleNotFoundError: No module named"),
    ("from comfy_env import frobnicate\n", ":1: ImportError"),
    ("from . import helpers\n", ":1: ImportError"),
    ("from comfy_env import register_serializer as r\nr('Mesh', None)\n", ":2: TypeError: register_serializer"),
    ("from comfy_env import register_serializer as r\nr(3, print)\n", ":2: TypeError: register_serializer"),
    ("x = 1\n", " registers nothing. Call register_serializer"),
    ("\0", ":1: "),
]  # fmt: skip


@pytest.mark.parametrize(("source", "told"), BROKEN)
def test_broken_file_is_told_with_file_and_line(write: Callable[..., Path], source: str, told: str) -> None:
    path = write(source)
    codecs = Codecs()
    for _ in range(2):
        with pytest.raises(CodecFileError) as caught:
            load_codecs(path, codecs)
        assert f"{path}{told}" in str(caught.value)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CodecFileError, match=r"cannot be loaded from .*serialization.py"):
        load_codecs(tmp_path / "serialization.py", Codecs())


def test_file_that_fails_half_way_registers_nothing(write: Callable[..., Path]) -> None:
    path = write("""
        from comfy_env import register_serializer
        register_serializer("Mesh", lambda mesh, recurse: 1)
        raise RuntimeError("half way")
    """)
    codecs = Codecs()
    with pytest.raises(CodecFileError, match=r":4: RuntimeError: half way"):
        load_codecs(path, codecs)
    assert codecs.for_tag("Mesh") is None
    assert not [name for name in sys.modules if name.startswith("_comfy_env_codecs_")]


@pytest.mark.parametrize(
    "spelling",
    [
        "from comfy_env import register_serializer",
        "import comfy_env\nregister_serializer = comfy_env.register_serializer",
        "from comfy_env.isolation.workers._ipc_shared import register_serializer",
        "from comfy_env.isolation.workers import _ipc_shared as ipc\nregister_serializer = ipc.register_serializer",
        "import comfy_env.isolation.workers._ipc_shared as ipc\nregister_serializer = ipc.register_serializer",
        "from _ipc_shared import register_serializer",
        "import _ipc_shared\nregister_serializer = _ipc_shared.register_serializer",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_installed", [False, True])
def test_every_spelling_packs_use_registers_here(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, spelling: str, is_installed: bool
) -> None:
    real = types.ModuleType("comfy_env")
    real.register_serializer = "the real one"  # type: ignore[attr-defined]
    if is_installed:
        monkeypatch.setitem(sys.modules, "comfy_env", real)
    path = write(spelling + '\nregister_serializer("Mesh", lambda m, r: 1, lambda c, r: 2, tag="geo.Mesh")\n')
    codecs = Codecs()
    load_codecs(path, codecs)
    codec = codecs.for_tag("geo.Mesh")
    assert codec is not None and codec.type_name == "Mesh" and codec.source == path
    assert sys.modules.get("comfy_env") is (real if is_installed else None)
    assert not [name for name in STAND_INS[1:] if name in sys.modules]


MESH_PACK = '''
"""As packs write it: heavy imports inside, deserialise only where the library is."""
from __future__ import annotations
from dataclasses import dataclass
try:
    from comfy_env.isolation.workers._ipc_shared import register_serializer
except ImportError:
    from _ipc_shared import register_serializer

@dataclass
class Mesh:
    vertices: list

def _pack(mesh, recurse):
    return {"vertices": recurse(mesh.vertices)}

def _unpack(content, recurse):
    import json  # an import at the time of the call
    return Mesh(json.loads(json.dumps(recurse(content["vertices"]))))

try:
    import no_such_library_of_a_pack
    UNPACK_RARE = _unpack
except ImportError:
    UNPACK_RARE = None

register_serializer("Mesh", _pack, _unpack)
register_serializer("Rare", _pack, UNPACK_RARE, tag="rare.Rare")
'''


def test_types_of_a_pack_are_packed_and_opened(write: Callable[..., Path]) -> None:
    path = write(MESH_PACK)
    codecs = Codecs()
    load_codecs(path, codecs)
    module = next(
        module for name, module in sys.modules.items() if name.startswith("_comfy_env_codecs_ComfyUI_Mesh")
    )
    mesh = module.Mesh([1, 2])
    parcel = make_parcel(mesh, codecs)
    assert parcel.content == {"vertices": [1, 2]} and open_parcel(parcel, codecs, None) == mesh
    rare = codecs.for_tag("rare.Rare")
    assert rare is not None and rare.deserialize is None
    assert not list(path.parent.rglob("*.pyc"))


def test_file_runs_once_and_files_of_two_packs_do_not_meet(write: Callable[..., Path]) -> None:
    codecs = Codecs()
    source = """
        from comfy_env import register_serializer
        COUNT = globals().get("COUNT", 0) + 1
        register_serializer("{0}", lambda value, recurse: COUNT)
    """
    for pack in ("a", "b", "a"):
        load_codecs(write(source.format(pack), pack), codecs)
    first, second = codecs.for_tag("a"), codecs.for_tag("b")
    assert first is not None and second is not None
    assert first.serialize(0, None) == second.serialize(0, None) == 1  # type: ignore[arg-type]
    assert len({first.serialize.__module__, second.serialize.__module__}) == 2


def test_side_that_cannot_unpack_does_not_displace_one_that_can(write: Callable[..., Path]) -> None:
    codecs = Codecs()
    source = (
        "from comfy_env import register_serializer as r\nr('Mesh', lambda v, n: '{0}', {1}, 'geo.Mesh')\n"
    )
    load_codecs(write(source.format("first", "lambda c, n: 1"), "a"), codecs)
    load_codecs(write(source.format("second", "None"), "b"), codecs)

    class Mesh: ...

    of_class, of_tag = codecs.for_class(Mesh), codecs.for_tag("geo.Mesh")
    assert of_class is not None and of_class.serialize(0, None) == "second"  # type: ignore[arg-type]
    assert of_tag is not None and of_tag.deserialize is not None


def test_files_are_run_when_an_object_is_first_packed_and_once(write: Callable[..., Path]) -> None:
    path = write("""
        import sys
        from comfy_env import register_serializer
        sys.times_run = getattr(sys, "times_run", 0) + 1
        register_serializer("Mesh", lambda mesh, recurse: 1, lambda content, recurse: 2, tag="m")
    """)
    codecs = Codecs([path])
    assert not hasattr(sys, "times_run")
    try:
        assert codecs.for_class(int) is None
        assert codecs.for_tag("m") is not None and codecs.for_tag("n") is None
        assert sys.times_run == 1  # type: ignore[attr-defined]
    finally:
        del sys.times_run  # type: ignore[attr-defined]


def test_files_of_other_packs_open_tags_and_pack_nothing(write: Callable[..., Path]) -> None:
    source = """
        from comfy_env import register_serializer
        register_serializer("Mesh", lambda mesh, recurse: 1, lambda content, recurse: {0!r}, tag={0!r})
    """

    class Mesh: ...

    paths = [write(textwrap.dedent(source).format(name), name) for name in ("one", "two")]
    codecs = Codecs(others=Codecs(paths))
    assert codecs.for_class(Mesh) is None
    assert codecs.for_tag("one") is not None
    assert len([name for name in sys.modules if name.startswith("_comfy_env_codecs_")]) == 1
    assert codecs.for_tag("two") is not None
