"""Progress and its pictures, and who may interrupt whom."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy
import pytest
from fakepack import RecordingServices, node_pack, request, spec_for
from patience import PATIENCE_S, eventually
from workers import StartWorker

from comfy_env_core.supervision import Service, Worker
from comfy_env_core.wire import RemoteError

BEFORE = """
import asyncio, time
import numpy
from comfy.utils import ProgressBar
from comfy.model_management import interrupt_current_processing, processing_interrupted
"""


def node(tmp_path: Path, start_worker: StartWorker, body: str) -> Worker:
    return start_worker(spec_for(node_pack(tmp_path, body, BEFORE)))


def run(worker: Worker, node_id: str = "7") -> Any:
    (sent,) = request(worker.spec.module_name, "run")
    sent["context"]["node_id"] = node_id
    return worker.call("run", [sent])


def test_a_picture_arrives_no_larger_than_the_page_shows_it(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    image = pytest.importorskip("PIL.Image")
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            from PIL import Image
            bar = ProgressBar(3)
            bar.update_absolute(1, 3, ("JPEG", Image.new("RGB", (640, 320), "red"), 64))
            bar.update_absolute(2, 3, ("JPEG", Image.new("RGBA", (8, 8)), None))
        """,
    )
    run(worker).result(PATIENCE_S)
    (_, _, (kind, content, size), _), (_, _, second, _) = services.progressed
    assert (kind, size, image.open(io.BytesIO(content)).size) == ("JPEG", 64, (64, 32))
    assert image.open(io.BytesIO(second[1])).mode == "RGBA"


def test_an_array_may_be_the_picture_and_what_is_none_is_left_out(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            bar = ProgressBar(3)
            bar.update_absolute(1, 3, ("JPEG", numpy.full((4, 4, 3), 9, numpy.uint8), 512))
            bar.update_absolute(2, 3, "no picture")
        """,
    )
    run(worker).result(PATIENCE_S)
    assert numpy.array_equal(services.progressed[0][2][1], numpy.full((4, 4, 3), 9, numpy.uint8))
    assert services.progressed[1][2] is None


def test_progress_of_two_async_nodes_keeps_their_ids_apart_and_a_named_node_goes_first(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        async def run(self):
            outer, inner = ProgressBar(2), ProgressBar(2, node_id="inner")
            for _ in range(2):
                outer.update(1)
                await asyncio.sleep(0.02)
                inner.update(1)
        """,
    )
    calls = [run(worker, "a"), run(worker, "b")]
    for call in calls:
        call.result(PATIENCE_S)
    seen = [(value, node_id) for value, _, _, node_id in services.progressed]
    assert sorted(seen) == sorted([(1, "a"), (2, "a"), (1, "b"), (2, "b"), *[(1, "inner"), (2, "inner")] * 2])
    assert {node_id for _, node_id in seen[:2]} == {"a", "b"}


def test_a_node_that_interrupts_the_run_interrupts_comfyuis(
    tmp_path: Path, start_worker: StartWorker, services: RecordingServices
) -> None:
    heard: list[bool] = []
    services.more["interrupt"] = Service(lambda asker, value: heard.append(value), at_once=True)
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            interrupt_current_processing()
            return processing_interrupted()
        """,
    )
    assert run(worker).result(PATIENCE_S) is True
    assert heard == [True]


def test_a_node_that_swallows_the_interrupt_is_told_again(tmp_path: Path, start_worker: StartWorker) -> None:
    worker = node(
        tmp_path,
        start_worker,
        """
        def run(self):
            print("begun", flush=True)
            bar, swallowed = ProgressBar(1000), 0
            while swallowed < 3:
                time.sleep(0.005)
                try:
                    bar.update(1)
                except BaseException:
                    swallowed += 1
            bar.update(1)
        """,
    )
    call = run(worker)
    assert eventually(lambda: worker.spec.log_path.exists() and "begun" in worker.spec.log_path.read_text())
    call.cancel()
    with pytest.raises(RemoteError) as caught:
        call.result(PATIENCE_S)
    assert type(caught.value).__name__ == "InterruptProcessingException"


def test_stop_while_a_module_is_imported_answers_at_once_and_the_import_is_there_for_the_next_run(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    pack = node_pack(
        tmp_path,
        "def run(self):\n    return COUNT\n",
        "import time\nprint('importing', flush=True)\ntime.sleep(1)\nCOUNT = 1\n",
    )
    worker = start_worker(spec_for(pack))
    call = run(worker)
    assert eventually(lambda: "importing" in worker.spec.log_path.read_text())
    call.cancel()
    with pytest.raises(RemoteError) as caught:
        call.result(0.5)
    assert type(caught.value).__name__ == "InterruptProcessingException"
    assert run(worker).result(PATIENCE_S) == 1
    assert worker.spec.log_path.read_text().count("importing") == 1
