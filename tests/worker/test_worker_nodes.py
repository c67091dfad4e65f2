"""Running nodes: instances, errors, cancel, async, and what they ask of the host."""

from __future__ import annotations

import gc
import os
import traceback
from pathlib import Path
from typing import Any

import numpy
import pytest
from fakepack import RecordingServices, node_pack, request, spec_for, write_pack
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.supervision import WorkerError
from comfy_env_core.wire import CallTimeout, Handle, RemoteError, remote_origin


def node(tmp_path: Path, start_worker: StartWorker, body: str, before: str = "") -> Any:
    """A function that runs a method of a node in a new worker."""
    worker = start_worker(spec_for(node_pack(tmp_path, body, before)))

    def call(function: str, *args: Any, **options: Any) -> Any:
        return worker.call("run", request(worker.spec.module_name, function, *args, **options))

    call.worker = worker  # type: ignore[attr-defined]
    return call


def test_exception_reads_in_the_host_as_it_would_have_without_a_worker(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    call = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            try:
                {}["inner"]
            except KeyError as error:
                raise PackError("no mesh") from error
        """,
        before="class PackError(ValueError):\n    pass\n",
    )
    with pytest.raises(ValueError, match=r"^no mesh$") as caught:
        call("run").result(PATIENCE_S)
    kind = type(caught.value)
    assert (kind.__module__, kind.__qualname__) == (call.worker.spec.module_name, "PackError")
    assert isinstance(caught.value.__cause__, KeyError) and str(caught.value.__cause__) == "'inner'"
    shown = "".join(traceback.format_tb(caught.value.__traceback__))
    assert f'{call.worker.spec.pack_dir}/__init__.py", line' in shown and ", in run" in shown
    assert 'raise PackError("no mesh") from error' in shown
    assert "comfy_env_core/worker" not in shown
    assert remote_origin(caught.value) is not None


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "StopIteration"])
def test_exceptions_that_end_programs_are_errors_of_the_node(
    tmp_path: Path, start_worker: StartWorker, kind: str
) -> None:
    call = node(tmp_path, start_worker, f"def run(self):\n    raise {kind}(4)\n")
    with pytest.raises(RemoteError, match="4") as caught:
        call("run").result(PATIENCE_S)
    assert type(caught.value).__name__ == kind
    assert isinstance(caught.value, Exception)
    assert call.worker.call("ping").result(PATIENCE_S)


@pytest.mark.parametrize("kind", ["SystemExit(3)", "KeyboardInterrupt()", "ImportError('no such thing')"])
def test_pack_that_fails_on_import_leaves_the_worker_alive(
    tmp_path: Path, start_worker: StartWorker, kind: str
) -> None:
    worker = start_worker(spec_for(write_pack(tmp_path, {"__init__.py": f"raise {kind}\n"})))
    with pytest.raises((RemoteError, ImportError)) as caught:
        worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)
    assert type(caught.value).__name__ == kind.partition("(")[0]
    assert "__init__.py" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert worker.call("ping").result(PATIENCE_S)


def test_instances_keep_their_state_until_forgotten(tmp_path: Path, start_worker: StartWorker) -> None:
    call = node(
        tmp_path,
        start_worker,
        """
        count = 0
        def run(self):
            self.count += 1
            return self.count
        @classmethod
        def on_class(cls):
            return cls.__name__
        """,
    )
    assert [
        call("run").result(PATIENCE_S),
        call("run").result(PATIENCE_S),
        call("run", instance="2").result(PATIENCE_S),
    ] == [1, 2, 1]
    call.worker.notify("forget", [["1"]])
    assert call("run").result(PATIENCE_S) == 1
    assert call("on_class", instance=None).result(PATIENCE_S) == "Node"


def test_cancelled_node_that_asks_is_interrupted(tmp_path: Path, start_worker: StartWorker) -> None:
    call = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            print("begun")
            while not processing_interrupted():
                time.sleep(0.005)
            throw_exception_if_processing_interrupted()
        def bar(self):
            bar = ProgressBar(10)
            while True:
                bar.update_absolute(1)
                time.sleep(0.005)
        def quick(self):
            return processing_interrupted()
        """,
        before="""
        import time
        from comfy.utils import ProgressBar
        from comfy.model_management import processing_interrupted, throw_exception_if_processing_interrupted
        """,
    )
    for function in ("run", "bar"):
        pending = call(function)
        assert not pending.wait(0.2)
        pending.cancel()
        with pytest.raises(RemoteError) as caught:
            pending.result(PATIENCE_S)
        kind = type(caught.value)
        assert (kind.__module__, kind.__qualname__) == (
            "comfy.model_management",
            "InterruptProcessingException",
        )
        assert call("quick").result(PATIENCE_S) is False


def test_call_cancelled_before_its_turn_never_runs(tmp_path: Path, start_worker: StartWorker) -> None:
    call = node(
        tmp_path,
        start_worker,
        """
        ran = []
        def slow(self):
            time.sleep(0.3)
        def run(self):
            self.ran.append(1)
        def count(self):
            return len(self.ran)
        """,
        before="import time\n",
    )
    slow, second = call("slow"), call("run")
    second.cancel()
    with pytest.raises(RemoteError):
        second.result(PATIENCE_S)
    slow.result(PATIENCE_S)
    assert call("count").result(PATIENCE_S) == 0


def test_async_nodes_run_side_by_side_and_sync_ones_between(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    call = node(
        tmp_path,
        start_worker,
        """
        arrived = []
        async def meet(self, others):
            self.arrived.append(1)
            while len(self.arrived) < others:
                await asyncio.sleep(0.005)
            return threading.current_thread() is threading.main_thread()
        async def wait(self, seconds):
            await asyncio.sleep(seconds)
        def run(self):
            return threading.current_thread() is threading.main_thread()
        async def fail(self):
            await asyncio.sleep(0)
            raise ValueError("later")
        """,
        before="import asyncio, threading\n",
    )
    meetings = [call("meet", 4) for _ in range(3)]
    assert call("run").result(PATIENCE_S) is True
    assert not any(meeting.done() for meeting in meetings)
    meetings.append(call("meet", 4))
    assert [meeting.result(PATIENCE_S) for meeting in meetings] == [True] * 4
    with pytest.raises(ValueError, match="later"):
        call("fail").result(PATIENCE_S)
    endless = call("wait", 100)
    assert not endless.wait(0.1)
    endless.cancel()
    with pytest.raises(RemoteError) as caught:
        endless.result(PATIENCE_S)
    assert type(caught.value).__name__ == "InterruptProcessingException"
    assert call("run").result(PATIENCE_S) is True


def test_ping_is_answered_while_a_node_runs(tmp_path: Path, start_worker: StartWorker) -> None:
    call = node(tmp_path, start_worker, "def run(self):\n    import time\n    time.sleep(1)\n")
    pending = call("run")
    assert call.worker.call("ping").result(0.9)
    with pytest.raises(CallTimeout):
        pending.result(0.01)
    pending.result(PATIENCE_S)


def test_progress_and_messages_arrive_in_order_before_the_result(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    call = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            bar = ProgressBar(3)
            for _ in range(3):
                bar.update(1)
            PromptServer.instance.send_sync("mesh.done", {"a": 1}, PromptServer.instance.client_id)
        """,
        before="from comfy.utils import ProgressBar\nfrom server import PromptServer\n",
    )
    call("run").result(PATIENCE_S)
    assert services.progressed == [(1, 3, None, "7"), (2, 3, None, "7"), (3, 3, None, "7")]
    assert services.sent == [("mesh.done", {"a": 1}, None)]


def test_folder_paths_asks_the_host_and_raises_what_it_raises(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    services.answers = {
        "get_filename_list": ["a.safetensors"],
        "get_full_path_or_raise": FileNotFoundError("Model b not found"),
    }
    call = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            folder_paths.add_model_folder_path("mesh", "/models/mesh", is_default=True)
            return folder_paths.get_filename_list("loras")
        def fail(self):
            folder_paths.get_full_path_or_raise("loras", "b")
        """,
        before="import folder_paths\n",
    )
    assert call("run").result(PATIENCE_S) == ["a.safetensors"]
    change = [[], "add_model_folder_path", ["mesh", "/models/mesh"], {"is_default": True}]
    assert services.folder_changes == [change]
    with pytest.raises(FileNotFoundError, match="Model b not found"):
        call("fail").result(PATIENCE_S)


def test_node_that_writes_into_its_input_changes_nothing_but_its_own_result(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    call = node(
        tmp_path,
        start_worker,
        "def run(self, image):\n    image[:100] += 1\n    return (image, float(image.sum()))\n",
    )
    image = numpy.zeros((1024, 1024))
    for _ in range(5):  # a fresh segment, a warm one, a kept copy
        changed, total = call("run", image).result(PATIENCE_S)
        assert total == 100 * 1024 and changed.max() == 1 and changed[100:].max() == 0 and image.max() == 0
        changed[:] = 5


def test_object_stays_in_the_worker_comes_home_as_itself_and_is_released(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    call = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            mesh = Mesh()
            self.seen = weakref.ref(mesh)
            return (mesh, [mesh])
        def same(self, mesh, number):
            return mesh is self.seen()
        def alive(self):
            gc.collect()
            return self.seen() is not None
        """,
        before="import gc, weakref\nclass Mesh:\n    def __repr__(self):\n        return 'Mesh(8 vertices)'\n",
    )
    mesh, (again,) = call("run").result(PATIENCE_S)
    assert mesh is again and issubclass(type(mesh), Handle)
    assert type(mesh).__module__ == call.worker.spec.module_name and type(mesh).__qualname__ == "Mesh"
    assert repr(mesh) == "Mesh(8 vertices)"
    assert call("same", mesh, 1).result(PATIENCE_S) is True
    assert call("alive").result(PATIENCE_S) is True
    del mesh, again
    gc.collect()
    assert call("alive").result(PATIENCE_S) is False


def test_handle_sent_home_and_dropped_at_once_still_arrives(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    call = node(
        tmp_path,
        start_worker,
        "def run(self):\n    return object()\ndef wait(self):\n    import time\n    time.sleep(0.2)\n"
        "def take(self, thing):\n    return type(thing).__name__\n",
    )
    thing = call("run").result(PATIENCE_S)
    blocking = call("wait")
    pending = call("take", thing)
    del thing
    gc.collect()
    call.worker.call("ping").result(PATIENCE_S)
    assert pending.result(PATIENCE_S) == "object"
    blocking.result(PATIENCE_S)


def test_arrays_are_changed_in_the_worker_without_touching_the_host(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    call = node(tmp_path, start_worker, "def run(self, image):\n    image += 1\n    return image\n")
    image = numpy.zeros((64, 64, 3), numpy.float32)
    changed = call("run", image).result(PATIENCE_S)
    assert float(image.sum()) == 0 and float(changed.min()) == 1
    changed += 1


def test_class_that_disappeared_names_the_remedy(tmp_path: Path, start_worker: StartWorker) -> None:
    call = node(tmp_path, start_worker, "def run(self):\n    pass\n")
    with pytest.raises(LookupError, match="has no class 'Gone'"):
        call("run", qualname="Gone").result(PATIENCE_S)
    with pytest.raises(LookupError, match="no method 'nonsense'"):
        call.worker.call("nonsense").result(PATIENCE_S)


def test_bytecode_goes_into_its_own_folder(tmp_path: Path, start_worker: StartWorker) -> None:
    pack = write_pack(tmp_path, {"__init__.py": "from . import part\n", "part.py": "X = 1\n"})
    worker = start_worker(spec_for(pack))
    worker.call("describe", [worker.spec.module_name]).result(PATIENCE_S)
    assert not list(pack.rglob("__pycache__"))
    assert len(list(worker.spec.pycache_dir.rglob("*.pyc"))) == 2


def test_worker_without_arrays_imports_neither_asyncio_nor_numpy(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    call = node(
        tmp_path,
        start_worker,
        "def run(self):\n    import sys\n    return [name for name in NAMES if name in sys.modules]\n",
        before="NAMES = ['asyncio', 'numpy', 'torch', 'dataclasses', 'inspect', 'importlib.metadata']\n",
    )
    assert call("run").result(PATIENCE_S) == []
    assert issubclass(WorkerError, RuntimeError) and os.getpid() != call.worker.pid
