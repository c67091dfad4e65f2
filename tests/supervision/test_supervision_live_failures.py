"""Errors, cancels, deadlines and deaths in the middle of calls that two processes make to each other."""

from __future__ import annotations

import os
import signal
import time
import traceback

import livenodes
import pytest
from livenodes import Vae, VaeError
from nodecalls import Nodes, in_thread
from patience import PATIENCE_S

from comfy_env_core.supervision import WorkerCrashed, WorkerTimedOut
from comfy_env_core.wire import DeadHandle, RemoteError

# -- failing ------------------------------------------------------------------------------------------------------


def test_error_of_the_host_comes_back_through_the_node_as_itself_with_both_tracebacks(nodes: Nodes) -> None:
    with pytest.raises(VaeError, match=r"^no decoder$") as caught:
        nodes.get("fail", Vae())
    assert type(caught.value) is VaeError
    shown = traceback.format_exception(caught.value)
    text = "".join(shown)
    assert 'vae.fail("no decoder")' in text and "__init__.py" in text
    assert "raise VaeError(text)" in text and livenodes.__file__ in text


def test_error_of_the_worker_comes_back_through_the_host_as_itself(nodes: Nodes) -> None:
    assert nodes.get("catch", Vae()) == ["no faces", True]


def test_error_keeps_type_message_and_frames_through_many_hops(nodes: Nodes) -> None:
    vae, mesh = Vae(), nodes.get("mesh")
    with pytest.raises(ValueError, match=r"^at the bottom$") as caught:
        mesh.call(vae.call, mesh.call, vae.call, mesh.fail, "at the bottom")
    assert type(caught.value).__qualname__ == "MeshError" and isinstance(caught.value, RemoteError)
    text = "".join(traceback.format_exception(caught.value))
    assert text.count(f'{livenodes.__file__}", line') == 2
    assert text.count('fake-pack/__init__.py", line') == 3


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, KeyboardInterrupt])
def test_program_ending_exceptions_of_an_object_are_errors_of_the_node(nodes: Nodes, kind: type) -> None:
    def leave() -> None:
        raise kind("out")

    result = in_thread(lambda: nodes.get("call", leave))
    with pytest.raises(RemoteError, match="out") as caught:
        result()
    assert type(caught.value).__name__ == kind.__name__
    assert nodes.get("call", len, [1]) == 1


def test_node_cancelled_while_the_host_works_for_it_is_interrupted_afterwards(nodes: Nodes) -> None:
    vae = Vae()
    call = nodes("interrupted", vae)
    result = in_thread(lambda: call.result(PATIENCE_S))
    assert vae.entered.wait(PATIENCE_S)
    call.cancel()
    assert not call.done()
    vae.may_leave.set()
    with pytest.raises(RemoteError) as caught:
        result()
    assert type(caught.value).__name__ == "InterruptProcessingException"
    assert nodes.get("mesh") is not None


def test_deadline_ends_a_node_that_is_deep_in_nested_calls(nodes: Nodes) -> None:
    vae, mesh = Vae(), nodes.get("mesh")
    seen: list[BaseException] = []

    def sleep() -> None:
        try:
            mesh.sleep()
        except BaseException as error:
            seen.append(error)
            raise

    start = time.monotonic()
    with pytest.raises(WorkerTimedOut, match=r"took longer than 0.5 s"):
        nodes.get("call", vae.call, sleep, timeout_s=0.5)
    assert time.monotonic() - start < 5
    assert [type(error) for error in seen] == [DeadHandle]


# -- a worker that dies ------------------------------------------------------------------------------------


def test_worker_killed_while_the_host_works_for_its_node(nodes: Nodes) -> None:
    vae = Vae()
    result = in_thread(lambda: nodes.get("call", vae.wait))
    assert vae.entered.wait(PATIENCE_S)
    _kill(nodes)
    vae.may_leave.set()
    with pytest.raises(WorkerCrashed, match="SIGKILL"):
        result()


def test_worker_that_dies_in_a_call_of_the_call_it_waits_for(nodes: Nodes) -> None:
    vae, mesh = Vae(), nodes.get("mesh")
    seen: list[BaseException] = []

    def die() -> None:
        try:
            mesh.die()
        except BaseException as error:
            seen.append(error)
            raise

    with pytest.raises(WorkerCrashed, match="exit code 5"):
        nodes.get("call", vae.call, die)
    assert [type(error) for error in seen] == [DeadHandle]
    assert isinstance(seen[0].__cause__.__cause__, WorkerCrashed)  # type: ignore[union-attr]


def test_worker_killed_while_its_object_uses_the_host(nodes: Nodes) -> None:
    mesh = nodes.get("mesh")
    with pytest.raises(DeadHandle, match=r"Mesh lived in worker fake-pack"):
        mesh.call(lambda: _kill(nodes))
    with pytest.raises(DeadHandle):
        mesh.open()
    assert "Mesh in worker fake-pack" in repr(mesh)


def test_every_thread_that_uses_a_worker_is_told_of_its_death(nodes: Nodes) -> None:
    vae, mesh = Vae(), nodes.get("mesh")
    results = [in_thread(mesh.sleep) for _ in range(4)] + [in_thread(lambda: mesh.call(vae.wait))]
    assert vae.entered.wait(PATIENCE_S)
    _kill(nodes)
    vae.may_leave.set()
    for result in results:
        with pytest.raises(DeadHandle):
            result()


def _kill(nodes: Nodes) -> None:
    assert nodes.worker.pid is not None
    os.kill(nodes.worker.pid, signal.SIGKILL)
