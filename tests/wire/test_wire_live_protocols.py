"""Python's protocols on live handles: each works if and only if it works on the object."""

from __future__ import annotations

import collections.abc
import operator
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import pytest
from livepeer import Mesh, Peer, Vector

from comfy_env_core.wire.objects.specials import SPECIALS, specials_of


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_special_methods_exist_as_on_the_class(peer: Peer) -> None:
    mesh, vector = peer.lend(Mesh()), peer.lend(Vector(1, 2))
    trips = len(peer.operations)
    assert not callable(mesh) and callable(vector)
    for name in ("__len__", "__iter__", "__getitem__", "__contains__", "__add__", "__enter__", "__array__"):
        assert not hasattr(mesh, name)
        assert hasattr(vector, name) is (name != "__enter__")
    assert isinstance(vector, collections.abc.Iterable) and not isinstance(mesh, collections.abc.Iterable)
    assert bool(mesh) is True
    for action in (len, iter, reversed, int, operator.neg, operator.index):
        with pytest.raises(TypeError):
            action(mesh)
    with pytest.raises(TypeError, match="not subscriptable"):
        mesh[0]
    with pytest.raises(TypeError, match="unsupported operand"):
        mesh + 1
    assert len(peer.operations) == trips


def test_protocols_of_python_reach_the_object(peer: Peer) -> None:
    original = Vector(1, 2, 3)
    vector = peer.lend(original)
    assert len(vector) == 3 and vector[0] == 1 and vector[1:] == [2, 3] and 2 in vector and 9 not in vector
    vector[0] = 7
    del vector[2]
    assert original.items == [7, 2]
    assert list(vector) == [7, 2] and list(reversed(vector)) == [2, 7]
    assert not vector
    assert vector(1, 2, sign=-1) == -3
    assert int(vector) == 3 and float(vector) == 0.5 and [10, 11][vector] == 11 and round(vector, 2) == 2
    assert format(vector, "x") == "2:x" and str(vector) == f"{vector}" == "vector"
    assert repr(vector) == repr(original)
    assert (vector + 1).items == [8, 3] and (1 + vector).items == [8, 3] and (-vector).items == [-7, -2]
    same = vector
    same += 5
    assert same is vector and original.items == [7, 2, 5]
    with pytest.raises(TypeError, match="unsupported operand"):
        vector + "x"


def test_numpy_reads_an_object_that_offers_an_array(peer: Peer) -> None:
    vector = peer.lend(Vector(1, 2, 3))
    assert numpy.asarray(vector).tolist() == [1, 2, 3]
    assert numpy.asarray(vector, dtype="f4").dtype == numpy.float32
    with pytest.raises(ValueError, match="without a copy"):
        vector.__array__(copy=False)


def test_comparison_and_hash(peer: Peer) -> None:
    one, same, other = peer.lend(Vector(1)), peer.lend(Vector(1)), peer.lend(Vector(2))
    assert one == same and one != other and one < other and not one == 5  # noqa: SIM201
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
    mesh, twin = peer.lend(Mesh()), peer.lend(Mesh())
    assert peer.cost(lambda: (mesh == twin, mesh == 3, hash(mesh), {mesh: 1}[mesh])) == 0
    assert mesh != twin and mesh == mesh


def test_iteration_ends_without_an_error_crossing(peer: Peer) -> None:
    def count() -> Iterator[int]:
        got = yield 1
        yield 10 * (got or 0)

    generator = peer.lend(count())
    assert iter(generator) is generator
    assert next(generator) == 1 and generator.send(4) == 40
    with pytest.raises(StopIteration):
        generator.send(None)
    with pytest.raises(StopIteration):
        next(generator)
    assert next(generator, "over") == "over"
    assert peer.cost(lambda: sum(peer.lend(Vector(1, 2, 3)))) == 2 + 3
    assert type(generator).__name__ == "generator" and type(generator).__module__ == "builtins"


def test_iteration_by_index_ends_where_the_object_says(peer: Peer) -> None:
    class Old:
        def __getitem__(self, index: int) -> int:
            return [4, 5][index]

    assert list(peer.lend(Old())) == [4, 5]


def test_context_manager_sees_the_error_of_the_block_and_may_hide_it(peer: Peer) -> None:
    seen: list[Any] = []

    class Guard:
        def __enter__(self) -> Guard:
            return self

        def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
            seen.append((kind, str(error)))
            return kind is ValueError

    guard = peer.lend(Guard())
    with guard as entered:
        assert entered is guard
    with guard:
        raise ValueError("bad face")
    assert seen == [(None, "None"), (ValueError, "bad face")]
    with pytest.raises(OSError, match="disk"), guard:
        raise OSError("disk")

    @contextmanager
    def swallow() -> Iterator[int]:
        try:
            yield 5
        except ValueError as error:
            seen.append(str(error))

    with peer.lend(swallow()) as five:
        assert five == 5
        raise ValueError("in the block")
    assert seen[-1] == "in the block"


def test_mask_says_what_the_class_itself_offers() -> None:
    class NotIterable(Vector):
        __iter__ = None  # type: ignore[assignment]

    class Unhashable(type):
        __hash__ = None  # type: ignore[assignment]

    def names(kind: type) -> set[str]:
        return {name for bit, name in enumerate(SPECIALS) if specials_of(kind) >> bit & 1}

    assert names(Mesh) == {"__hash__"}
    assert "__iter__" not in names(NotIterable) and "__iter__" in names(Vector)
    assert "__add__" in names(Unhashable("Odd", (Vector,), {}))
    assert names(types.FunctionType) == {"__hash__", "__call__", "__name__"}
    assert len(set(SPECIALS)) == len(SPECIALS)


def test_places_of_the_special_methods_do_not_move() -> None:
    # Part of the protocol: append, never move.
    places = {
        "__hash__": 0,
        "__call__": 1,
        "__len__": 2,
        "__eq__": 13,
        "__array__": 19,
        "__add__": 31,
        "__radd__": 45,
    }
    assert {name: SPECIALS.index(name) for name in places} == places
    assert SPECIALS.index("__iadd__") == 59 and SPECIALS.index("__length_hint__") == 76 == len(SPECIALS) - 1
