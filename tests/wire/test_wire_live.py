"""Live handles: attributes, methods, classes, what each use costs, and what happens without the owner."""

from __future__ import annotations

import collections
import copy
import functools
import gc
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from livepeer import Mesh, Peer

from comfy_env_core.wire.errors import DeadHandle, PeerGone, WireError
from comfy_env_core.wire.objects.live import Handle, RemoteMethod
from comfy_env_core.wire.objects.operations import perform
from comfy_env_core.wire.objects.specials import split_type_name, type_name_of


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_use_of_a_dead_handle_names_type_owner_reason_and_remedy(peer: Peer) -> None:
    mesh = peer.lend(Mesh())
    peer.borrowed.end = "killed by signal 9"
    uses: list[Callable[[], Any]] = [
        lambda: mesh.vertices,
        lambda: setattr(mesh, "vertices", 1),
        lambda: delattr(mesh, "vertices"),
        lambda: dir(mesh),
    ]
    for action in uses:
        with pytest.raises(
            DeadHandle, match=r"Mesh lived in worker mesh-pack.*ended \(killed by.*Run the node"
        ):
            action()
    assert repr(mesh) == str(mesh) == f"{mesh}" == f"<{type_name_of(Mesh)} in worker mesh-pack>"
    assert peer.operations == []


def test_owner_dying_during_a_use_is_a_dead_handle_and_repr_still_does_not_raise(peer: Peer) -> None:
    mesh = peer.lend(Mesh())
    peer.failure = PeerGone("the connection was closed")
    with pytest.raises(DeadHandle, match=r"Mesh lived in worker mesh-pack.*connection was closed") as caught:
        mesh.vertices  # noqa: B018
    assert isinstance(caught.value.__cause__, PeerGone)
    assert repr(mesh).endswith("Mesh in worker mesh-pack>")


def test_repr_that_fails_at_the_owner_falls_back_to_the_type(peer: Peer) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert repr(peer.lend(Broken())).endswith("Broken in worker mesh-pack>")


def test_exception_of_the_object_is_raised_and_a_missing_attribute_is_missing(peer: Peer) -> None:
    mesh = peer.lend(Mesh())
    with pytest.raises(KeyError, match="no face 7"):
        mesh.fail()
    with pytest.raises(AttributeError, match="colour"):
        mesh.colour  # noqa: B018
    assert not hasattr(mesh, "colour")
    assert getattr(mesh, "colour", "grey") == "grey"


@pytest.mark.parametrize(
    "name",
    [
        "__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__",
        "__iter__", "__len__", "__await__", "__fspath__", "__dict__", "__wrapped__", "__globals__", "__set_name__",
        "_ipython_display_", "_ipython_canary_method_should_not_exist_", "_repr_html_", "_repr_mimebundle_",
    ],
)  # fmt: skip
def test_names_that_libraries_probe_cost_nothing(peer: Peer, name: str) -> None:
    mesh = peer.lend(Mesh())
    assert peer.cost(lambda: getattr(mesh, name, None)) == 0
    assert not hasattr(mesh, name)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get", ["__dict__"]),
        ("get", [b"vertices"]),
        ("set", ["__class__", 1]),
        ("delete", ["__dict__"]),
        ("method", ["__init__", [], {}]),
        ("method_attribute", ["scale", "__globals__"]),
    ],
)
def test_owner_refuses_names_that_lead_out_of_the_object(operation: str, arguments: list[Any]) -> None:
    with pytest.raises(WireError, match="cannot be used from another process"):
        perform(Mesh(), operation, arguments)


def test_unknown_operation_names_it_and_the_type() -> None:
    with pytest.raises(WireError, match=r"'eval' was asked of a Mesh.*same version"):
        perform(Mesh(), "eval", ["1"])


def test_pickling_is_refused_and_copies_are_the_handle_itself(peer: Peer) -> None:
    mesh = peer.lend(Mesh())
    assert copy.copy(mesh) is mesh
    assert copy.deepcopy([mesh])[0] is mesh
    with pytest.raises(TypeError, match=r"Mesh that lives in worker mesh-pack cannot be pickled"):
        pickle.dumps(mesh)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps({"callback": mesh.scale})
    assert copy.deepcopy(mesh.scale) == mesh.scale


def test_attributes_are_the_objects(peer: Peer) -> None:
    mesh = Mesh()
    handle = peer.lend(mesh)
    assert handle.vertices == 8 and handle.unit == "mm"
    handle.vertices = 9
    handle.fresh = [1]
    assert mesh.vertices == 9 and mesh.fresh == [1]  # type: ignore[attr-defined]
    del handle.fresh
    assert not hasattr(mesh, "fresh")
    assert "scale" in dir(handle)
    handle.tags.append("b")
    assert mesh.tags == ["a"], "a list is a copy"


def test_methods_cost_one_round_trip_once_their_name_is_known(peer: Peer) -> None:
    first, second = peer.lend(Mesh()), peer.lend(Mesh())
    assert peer.cost(lambda: first.scale(2, about=1)) == 2
    assert peer.cost(lambda: second.scale(2)) == 1
    assert peer.cost(lambda: second.scale) == 0
    assert first.scale(0.5, about=100) == 108
    assert first.named() == "Mesh" and first.double(4) == 8
    assert peer.cost(lambda: (first.named(), second.double(4))) == 2
    assert len(peer.objects) == 2, "no bound method was lent"


def test_method_is_a_small_local_object(peer: Peer) -> None:
    mesh = peer.lend(Mesh())
    scale = mesh.scale
    assert type(scale) is RemoteMethod and callable(scale)
    assert scale.__self__ is mesh and scale.__name__ == "scale"
    assert scale == mesh.scale and len({scale, mesh.scale}) == 1 and scale != mesh.fail
    assert repr(scale) == f"<method 'scale' of {type_name_of(Mesh)} in worker mesh-pack>"
    assert peer.cost(lambda: getattr(scale, "__wrapped__", None)) == 0


def test_attributes_of_a_method_are_reached(peer: Peer) -> None:
    class Cached:
        @functools.lru_cache(maxsize=None)  # noqa: B019, UP033
        def slow(self) -> int:
            return 1

        def marked(self) -> int:
            return 1

        marked.socket = "MESH"  # type: ignore[attr-defined]

    assert peer.lend(Cached()).marked.socket == "MESH"


def test_method_held_by_one_instance_alone_is_not_taken_for_one_of_the_class(peer: Peer) -> None:
    changed, plain = Mesh(), Mesh()
    changed.hook = changed.scale  # type: ignore[attr-defined]
    plain.hook = 3  # type: ignore[attr-defined]
    assert callable(peer.lend(changed).hook)
    assert peer.lend(plain).hook == 3


def test_object_that_returns_itself_gives_the_same_handle(peer: Peer) -> None:
    mesh = peer.lend(Mesh())
    assert mesh.itself() is mesh


def test_class_is_told_and_isinstance_answers_where_it_is_loaded(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("geometry_of_a_pack")
    monkeypatch.setitem(sys.modules, "geometry_of_a_pack", module)
    exec("class Mesh: pass\nclass Sub(Mesh):\n    class Face: pass", module.__dict__)
    mesh, face = peer.lend(module.Sub()), peer.lend(module.Sub.Face())
    assert type(mesh).__name__ == "Sub" and type(mesh).__module__ == "geometry_of_a_pack"
    assert type(face).__name__ == "Face" and type(face).__qualname__ == "Sub.Face"
    assert isinstance(mesh, module.Mesh) and not isinstance(mesh, module.Sub.Face)
    assert isinstance(face, module.Sub.Face)
    assert issubclass(type(mesh), Handle) and type(mesh) is not module.Sub
    monkeypatch.delitem(sys.modules, "geometry_of_a_pack")
    assert not isinstance(mesh, module.Mesh) and isinstance(mesh, Handle)
    assert mesh.__class__ is type(mesh)


def test_isinstance_imports_nothing_and_does_not_trust_another_main(peer: Peer) -> None:
    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("imported")

    sys.modules["lazy_of_a_pack"] = Lazy("lazy_of_a_pack")
    try:
        handle = Handle(peer.borrowed, 1, "lazy_of_a_pack.Mesh", 0)
        assert not isinstance(handle, dict)
        assert not isinstance(Handle(peer.borrowed, 2, "__main__.Mesh", 0), dict)
    finally:
        del sys.modules["lazy_of_a_pack"]


def test_class_sent_as_an_object_is_not_taken_for_a_class(peer: Peer) -> None:
    handle = peer.lend(Mesh)
    assert not isinstance(handle, type) and callable(handle)
    assert handle.__name__ == "Mesh" and handle.unit == "mm"
    assert handle(3).vertices == 3


def test_handles_of_one_class_share_one_class_for_each_peer(peer: Peer) -> None:
    assert type(peer.lend(Mesh())) is type(peer.lend(Mesh()))
    assert type(peer.lend(Mesh())) is not type(Peer().lend(Mesh()))


def test_names_of_classes_survive_the_wire() -> None:
    for kind in (Mesh, dict, types.GeneratorType, collections.OrderedDict, type(pytest.raises)):
        module, qualname = split_type_name(type_name_of(kind))
        assert (module, qualname) == (kind.__module__, kind.__qualname__)

    class Local: ...

    assert split_type_name(type_name_of(Local)) == (Local.__module__, Local.__qualname__)


def test_dropped_handle_leaves_a_release_note(peer: Peer) -> None:
    mesh = peer.lend(Mesh())
    scale = mesh.scale
    del mesh
    gc.collect()
    assert peer.borrowed.take_dropped() == []
    del scale
    gc.collect()
    assert len(peer.borrowed.take_dropped()) == 1
