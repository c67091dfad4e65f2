"""Objects used across the border while nodes run: on which thread, how deep, and what stays behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
from livenodes import BEFORE, BODY, Vae, VaeError
from nodecalls import Nodes, eventually, in_thread, start_nodes
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.wire import Handle

# -- who performs what a node asks of the host ------------------------------------------------------------------


def test_object_of_the_host_is_used_on_the_thread_that_waits_for_the_node(nodes: Nodes) -> None:
    vae = Vae()
    latent = numpy.arange(30000, dtype=numpy.float32)
    decoded, name, keys, length, total, layers = nodes.get("use", vae, latent)
    assert numpy.array_equal(decoded, latent * 2)
    assert (name, keys, length, total, layers) == ("vae!", ["seed"], 1, 90000.0, 3)
    assert vae.name == "vae!" and vae.settings == {"seed": 2}
    assert vae.threads == {threading.get_ident()}


def test_thread_that_waits_in_a_loop_performs_what_came_while_it_looked_away(nodes: Nodes) -> None:
    vae = Vae()
    call = nodes("many", vae, 8)
    with call.attended():
        while not call.wait(0.001):
            time.sleep(0.03)  # longer than the thread that reads when nobody waits stands aside
    assert call.result() == [number * 2 for number in range(8)]
    assert vae.threads == {threading.get_ident()}


def test_nobody_need_wait_for_a_node_that_uses_objects_of_the_host(nodes: Nodes) -> None:
    vae, done = Vae(), threading.Event()
    call = nodes("many", vae, 3)
    call.add_done_callback(lambda _: done.set())
    assert done.wait(PATIENCE_S)
    assert call.result() == [0, 2, 4]
    assert threading.get_ident() not in vae.threads


def test_calls_back_and_forth_stay_on_the_two_threads(nodes: Nodes) -> None:
    vae = Vae()
    path, is_main = nodes.get("down", vae, 10)
    assert path == ["host", "worker"] * 5 + ["host"]
    assert is_main == [True] * 5
    assert vae.threads == {threading.get_ident()}


def test_object_of_an_idle_worker_calls_back_on_both_threads_too(nodes: Nodes) -> None:
    vae, mesh = Vae(), nodes.get("mesh")
    assert mesh.down(10, vae) == ["worker", "host"] * 5 + ["worker"]
    assert mesh.threads == [True] * 6
    assert vae.threads == {threading.get_ident()}


def test_two_workers_calling_each_other_through_the_host_stay_on_their_main_threads(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    one = start_nodes(tmp_path / "one", start_worker, BODY, BEFORE)
    two = start_nodes(tmp_path / "two", start_worker, BODY, BEFORE)
    first, second = one.get("mesh"), two.get("mesh")

    class Bridge:
        """Leads from one worker into the other, and back."""

        def down(self, depth: int, other: Any) -> list[str]:
            target = second if depth % 4 == 3 else first
            return ["host", *(target.down(depth - 1, self) if depth else [])]

    assert first.down(10, Bridge()) == ["worker", "host"] * 5 + ["worker"]
    assert first.threads == [True] * 4 and second.threads == [True] * 2


def test_threads_of_a_node_use_the_host_and_are_called_back(nodes: Nodes) -> None:
    path = ["host", "worker"] * 2 + ["host"]
    assert nodes.get("in_threads", Vae(), 8, 4) == [path] * 8


def test_threads_of_a_node_can_wait_for_each_other_in_the_host(nodes: Nodes) -> None:
    assert nodes.get("meet", Vae()) == [True, True]


def test_async_node_uses_the_host_from_the_loop_and_from_a_thread(nodes: Nodes) -> None:
    vae = Vae()
    assert nodes.get("awaits", vae, 4) == [8, 8]
    assert vae.threads == {threading.get_ident()}


# -- objects of the worker ----------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["until_open", "until_open_async"])
def test_object_of_a_worker_answers_while_a_node_runs_and_right_after_it_was_called(
    nodes: Nodes, node: str
) -> None:
    for _ in range(10):
        mesh = nodes.get("mesh")
        call = nodes(node, mesh)
        mesh.open()  # a node that has not begun must not be waited for either
        assert call.result(PATIENCE_S) is True


def test_object_answers_while_its_node_waits_for_the_host(nodes: Nodes) -> None:
    vae, mesh = Vae(), nodes.get("mesh")
    result = in_thread(lambda: nodes.get("call", vae.wait))
    assert vae.entered.wait(PATIENCE_S)
    assert len(mesh) == 3 and mesh[1] == 2
    vae.may_leave.set()
    assert result() is None


def test_threads_of_the_host_can_wait_for_each_other_in_a_busy_worker(nodes: Nodes) -> None:
    mesh = nodes.get("mesh")
    call = nodes("until_open", mesh)
    results = [in_thread(mesh.meet) for _ in range(2)]
    assert [result() for result in results] == [True, True]
    mesh.open()
    assert call.result(PATIENCE_S)


def test_many_threads_of_the_host_use_one_worker_at_once(nodes: Nodes) -> None:
    mesh = nodes.get("mesh")
    path = ["worker", "host"] * 2 + ["worker"]

    def work() -> tuple[set[int], int]:
        vae = Vae()
        for _ in range(10):
            assert mesh.down(4, vae) == path
        return vae.threads, threading.get_ident()

    results = [in_thread(work) for _ in range(8)]
    for result in results:
        threads, own = result()
        assert threads == {own}


# -- what is left -----------------------------------------------------------------------------------------------


def test_nothing_is_lent_any_more_when_nothing_is_used_any_more(nodes: Nodes) -> None:
    vae, mesh = Vae(), nodes.get("mesh")
    nodes.get("use", vae, numpy.zeros(100000, numpy.float32))
    nodes.get("down", vae, 6)
    nodes.get("awaits", vae, 3)
    nodes.get("in_threads", vae, 4, 3)
    mesh.down(5, vae)
    with pytest.raises(VaeError):
        nodes.get("fail", vae)
    assert nodes.get("catch", vae)[1]
    nodes.worker.notify("forget", [["1"]])
    assert issubclass(type(mesh), Handle) and nodes.get("lent", instance="0") >= 1
    del mesh
    eventually(lambda: nodes.lent_by_host() == 0)
    eventually(lambda: nodes.get("lent", instance="0") == 0)
