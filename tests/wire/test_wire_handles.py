"""Objects that stay at home: identity, release, and the errors of using them in the wrong place."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from patience import PATIENCE_S

from comfy_env_core.wire import DeadHandle, Handle, IncomingCall


class Mesh:
    def __repr__(self) -> str:
        return "x" * 500


class Owner:
    """Hands out one object and takes it back."""

    def __init__(self) -> None:
        self.mesh: Any = Mesh()
        self.came_home: list[Any] = []

    def dispatch(self, call: IncomingCall) -> None:
        if call.method == "lend":
            call.reply([self.mesh, {"again": self.mesh}])
        elif call.method == "take":
            self.came_home.append(call.args()[0])
            call.reply(None)
        else:
            call.reply(call.args())


def test_handle_of_a_dead_worker_names_worker_and_type(connect: Callable[..., Any]) -> None:
    first, right = connect(right=Owner().dispatch)
    mesh = first.call("lend").result(PATIENCE_S)[0]
    right.close()
    first.join(PATIENCE_S)
    second, _ = connect()
    for connection in (first, second):
        with pytest.raises(DeadHandle, match=r"Mesh lived in worker mesh, which has ended.*Run the node"):
            connection.call("echo", [mesh])
    del mesh


def test_object_is_itself_when_it_comes_home_and_one_handle_abroad(connect: Callable[..., Any]) -> None:
    owner = Owner()
    left, right = connect(right=owner.dispatch)
    mesh, container = left.call("lend").result(PATIENCE_S)
    assert issubclass(type(mesh), Handle) and container["again"] is mesh
    assert left.call("lend").result(PATIENCE_S)[0] is mesh
    assert type(mesh).__qualname__ == "Mesh" and repr(mesh) == "x" * 500
    left.call("take", [mesh]).result(PATIENCE_S)
    assert owner.came_home == [owner.mesh]
    assert len(right.lent) == 1


def test_dropped_handle_is_released_before_the_next_call(connect: Callable[..., Any]) -> None:
    owner = Owner()
    left, right = connect(right=owner.dispatch)
    seen = weakref.ref(owner.mesh)
    answer = left.call("lend").result(PATIENCE_S)
    owner.mesh = None
    assert seen() is not None
    del answer
    gc.collect()
    left.call("echo", [1]).result(PATIENCE_S)
    assert len(right.lent) == 0 and seen() is None


def test_dropped_handle_is_released_soon_without_any_call(connect: Callable[..., Any]) -> None:
    class Watched:
        pass

    watched = Watched()
    freed = threading.Event()
    weakref.finalize(watched, freed.set)
    left, _ = connect(right=lambda call: call.reply(vars(holder).pop("thing")))
    holder = type("Holder", (), {})()
    holder.thing = watched
    handle = left.call("lend").result(PATIENCE_S)
    del watched
    gc.collect()
    assert not freed.is_set()
    del handle
    assert freed.wait(PATIENCE_S)


def test_answer_that_is_never_looked_at_releases_its_handles(connect: Callable[..., Any]) -> None:
    owner = Owner()
    left, right = connect(right=owner.dispatch)
    call = left.call("lend")
    assert call.wait(PATIENCE_S)
    del call
    gc.collect()
    left.call("echo", [1]).result(PATIENCE_S)
    left.call("echo", [1]).result(PATIENCE_S)
    assert len(right.lent) == 0


def test_objects_are_lent_in_both_directions(connect: Callable[..., Any]) -> None:
    kept: list[Any] = []

    def keep(call: IncomingCall) -> None:
        kept.extend(call.args())
        call.reply(kept[0])

    left, _ = connect(right=keep)
    model = Mesh()
    assert left.call("keep", [model]).result(PATIENCE_S) is model
    assert issubclass(type(kept[0]), Handle) and len(left.lent) == 1


def test_copies_are_the_handle_itself_and_pickling_is_refused(connect: Callable[..., Any]) -> None:
    left, _ = connect(right=Owner().dispatch)
    mesh = left.call("lend").result(PATIENCE_S)[0]
    assert copy.copy(mesh) is mesh and copy.deepcopy([mesh])[0] is mesh
    with pytest.raises(TypeError, match=r"lives in worker mesh cannot be pickled"):
        pickle.dumps(mesh)
