"""A worker gives memory back when it is asked, and imports nothing for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakegpu import make_comfyui, make_gpu, used_by_pid
from fakepack import RecordingServices, node_pack, request, spec_for
from nodecalls import Nodes
from patience import PATIENCE_S, eventually
from workers import StartWorker

from comfy_env_core.supervision import Service, Worker

BODY = """
    def make_cycle(self):
        import weakref
        class Part:
            pass
        part = Part()
        part.itself = part
        ALIVE.append(weakref.ref(part))
    def alive(self):
        return sum(part() is not None for part in ALIVE)
    def remember(self):
        self.seen = 1
    def forget_it(self):
        del self.seen
    def imported(self):
        import sys
        return sorted({"torch", "comfy", "numpy"} & set(sys.modules))
    def ask_for(self, size, device="cuda:0"):
        import comfy.model_management as management
        management.free_memory(size, device)
    def load(self, size):
        import comfy.model_management as management
        management.load_models_gpu([management.Model("model", size)])
"""


@pytest.fixture
def worker(tmp_path: Path, start_worker: StartWorker) -> Worker:
    return start_worker(spec_for(node_pack(tmp_path, BODY, "ALIVE = []\nimport gc\ngc.disable()\n")))


@pytest.fixture
def asked(services: RecordingServices) -> list[tuple[int, str]]:
    """What workers asked the host for."""
    asked: list[tuple[int, str]] = []
    services.more["vram_need"] = Service(lambda asker, *need: asked.append(need))  # type: ignore[arg-type]
    services.more["host_call"] = Service(lambda asker, *call: None)
    return asked


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    return make_gpu(tmp_path, 100)


@pytest.fixture
def gpu_worker(tmp_path: Path, gpu: Path, start_worker: StartWorker) -> Worker:
    facts = {"comfyui": make_comfyui(tmp_path / "comfyui"), "env_vars": {"FAKE_GPU": str(gpu)}}
    return start_worker(spec_for(node_pack(tmp_path, BODY, "ALIVE = []\n"), **facts))


def run(worker: Worker, function: str, *args: object, instance: str = "1") -> object:
    return Nodes(worker).get(function, *args, instance=instance)


def test_tidying_up_collects_what_only_the_collector_finds(worker: Worker) -> None:
    run(worker, "make_cycle")
    assert run(worker, "alive") == 1
    worker.notify("tidy_memory")
    assert run(worker, "alive") == 0


def test_giving_everything_back_imports_neither_torch_nor_comfyui(worker: Worker) -> None:
    worker.ask("release_memory", timeout_s=PATIENCE_S)
    worker.ask("release_memory", [10**9, "cuda:0"], timeout_s=PATIENCE_S)
    assert run(worker, "imported") == []


def test_what_nodes_remember_is_known_until_they_are_dropped(worker: Worker) -> None:
    def has_state() -> object:
        return worker.ask("has_state", timeout_s=PATIENCE_S)

    run(worker, "alive")
    assert has_state() is False
    run(worker, "remember", instance="2")
    assert has_state() is True
    worker.notify("forget", [["2"]])
    assert eventually(lambda: has_state() is False)


def test_a_question_beside_the_work_is_no_use(worker: Worker) -> None:
    before = worker.statistics
    worker.ask("has_state", timeout_s=PATIENCE_S)
    after = worker.statistics
    assert (after.calls, after.last_used_at, after.state) == (before.calls, before.last_used_at, before.state)


def test_the_host_is_asked_for_what_is_missing_and_for_nothing_else(
    gpu_worker: Worker, asked: list[tuple[int, str]]
) -> None:
    run(gpu_worker, "ask_for", 60)
    run(gpu_worker, "ask_for", 10**6, "cpu")
    assert asked == []
    run(gpu_worker, "ask_for", 140)
    assert asked == [(140, "cuda:0")]


def test_a_worker_frees_its_own_models_before_it_asks(
    gpu_worker: Worker, gpu: Path, asked: list[tuple[int, str]]
) -> None:
    run(gpu_worker, "load", 70)
    run(gpu_worker, "ask_for", 80)
    assert asked == []
    assert used_by_pid(gpu) == {}


def test_a_host_that_fails_to_make_room_fails_the_node_in_its_own_words(
    gpu_worker: Worker, asked: list[tuple[int, str]], services: RecordingServices
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the device is lost")

    services.more["vram_need"] = Service(fail)
    call = gpu_worker.call("run", request(gpu_worker.spec.module_name, "ask_for", 140))
    with pytest.raises(RuntimeError, match="the device is lost"):
        call.result(PATIENCE_S)
