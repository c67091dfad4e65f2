"""One GPU, ComfyUI's process and its workers: whoever needs room gets it, and nobody waits for ever.

The device is a file that all processes account to, by the functions of `comfy.model_management` that are wrapped on a
real one (see fakegpu.py). Its size is 100 bytes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakegpu import host_management, make_comfyui, make_gpu, used_by_pid
from fakepack import RecordingServices, node_pack, request, spec_for
from patience import PATIENCE_S, eventually

from comfy_env_core.comfyui import memory as host_memory
from comfy_env_core.comfyui.memory import HostMemory
from comfy_env_core.comfyui.prompt_loop import PromptLoop
from comfy_env_core.supervision import Service, Worker, WorkerCall

BODY = """
    def load(self, name, size):
        import comfy.model_management as management
        known = [model for model in MODELS if model.name == name]
        if not known:
            MODELS.append(management.Model(name, size))
            known = MODELS[-1:]
        management.load_models_gpu(known)
        return self.loaded()
    def loaded(self):
        import comfy.model_management as management
        return sorted(model.name for model in management.current_loaded_models)
    def hold(self, name, size):
        import time
        self.load(name, size)
        print("holding", flush=True)
        time.sleep(60)
    async def hold_and_await(self, name, size):
        import asyncio
        self.load(name, size)
        await asyncio.sleep(60)
    def sample_in_host(self, name, size):
        import sys
        self.load(name, size)
        sys.modules["folder_paths"].__loader__._home.ask("sample")
        return self.loaded()
    def litter(self, size):
        import comfy.model_management as management
        management.cached = size
        management.account()
"""
LIMIT_S = 20.0


class House:
    """ComfyUI's process (this one) and its workers over one device."""

    def __init__(self, directory: Path, services: RecordingServices, start: Callable[..., Worker]) -> None:
        self.ledger = make_gpu(directory, 100)
        self.management = host_management(self.ledger)
        self.loop = PromptLoop(lambda: "a prompt")
        self.memory = HostMemory(self.management, self, self.loop)
        self.memory.install()
        self.trimmed = 0
        self._directory = directory
        self._comfyui = make_comfyui(directory / "comfyui")
        self._start = start
        self._workers: list[Worker] = []
        services.more["vram_need"] = Service(lambda asker, *args: self.memory.need(asker.site_id, *args))
        services.more["host_call"] = Service(self._host_call)

    def worker(self, name: str) -> Worker:
        pack = node_pack(self._directory / name, BODY, "import folder_paths\nMODELS = []\n")
        facts = {"comfyui": self._comfyui, "env_vars": {"FAKE_GPU": str(self.ledger)}}
        worker = self._start(spec_for(pack, site_id=name, pack_name=name, **facts))
        self._workers.append(worker)
        return worker

    def all_running(self) -> Sequence[Worker]:
        alive = [worker for worker in self._workers if worker.is_alive]
        return sorted(alive, key=lambda worker: worker.statistics.last_used_at or 0.0)

    def trim(self) -> None:
        self.trimmed += 1

    def call(self, worker: Worker, function: str, *args: Any) -> WorkerCall:
        return worker.call("run", request(worker.spec.module_name, function, *args))

    def run(self, worker: Worker, function: str, *args: Any) -> Any:
        """As ComfyUI runs a node: on a thread within its event loop."""

        async def prompt() -> Any:
            self.loop.note()
            return self.call(worker, function, *args).result(LIMIT_S)

        return asyncio.run(prompt())

    def load_in_host(self, name: str, size: int) -> None:
        self.management.load_models_gpu([self.management.Model(name, size)])

    def loaded_in_host(self) -> list[str]:
        return [model.name for model in self.management.current_loaded_models]

    def _host_call(
        self, asker: object, module: str, name: str, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        return getattr(self.management, name)(*args, **kwargs)


@pytest.fixture
def house(
    tmp_path: Path, services: RecordingServices, start_worker: Callable[..., Worker]
) -> Iterator[House]:
    house = House(tmp_path, services, start_worker)
    yield house
    house.memory.remove()


def holding(house: House, worker: Worker) -> bool:
    return worker.pid is not None and used_by_pid(house.ledger).get(worker.pid, 0) > 0


def test_a_worker_gets_the_room_of_comfyuis_models_before_that_of_other_workers(house: House) -> None:
    one, other = house.worker("one"), house.worker("other")
    house.run(other, "load", "other's", 30)
    house.load_in_host("host's", 50)
    assert house.run(one, "load", "big", 60) == ["big"]
    assert house.loaded_in_host() == []
    assert house.run(other, "loaded") == ["other's"]


def test_what_is_still_missing_comes_from_idle_workers_the_longest_unused_first(house: House) -> None:
    workers = [house.worker(name) for name in ("first", "second", "third")]
    for worker in workers:
        house.run(worker, "load", "model", 30)
    house.run(workers[0], "loaded")
    asker = house.worker("asker")
    assert house.run(asker, "load", "big", 35) == ["big"]
    assert [house.run(worker, "loaded") for worker in workers] == [["model"], [], ["model"]]


def test_comfyui_gets_the_room_of_idle_workers_when_its_own_models_are_not_enough(house: House) -> None:
    worker = house.worker("one")
    house.run(worker, "load", "worker's", 60)
    house.load_in_host("old", 30)
    house.load_in_host("new", 90)
    assert house.loaded_in_host() == ["new"]
    assert house.run(worker, "loaded") == []


def test_a_worker_keeps_its_models_while_there_is_room_for_all(house: House) -> None:
    worker = house.worker("one")
    house.run(worker, "load", "worker's", 40)
    house.load_in_host("host's", 40)
    assert house.run(worker, "loaded") == ["worker's"]


def test_bytes_in_a_workers_cache_are_had_as_well(house: House) -> None:
    """No other process can use what torch keeps, though nothing is in it."""
    worker = house.worker("one")
    house.run(worker, "load", "worker's", 10)
    house.run(worker, "litter", 60)
    house.load_in_host("host's", 80)
    assert house.loaded_in_host() == ["host's"]
    assert house.run(worker, "loaded") == ["worker's"], "an emptied cache was enough"


def test_bytes_in_comfyuis_cache_are_given_to_a_worker(house: House) -> None:
    worker = house.worker("one")
    house.load_in_host("host's", 20)
    vars(house.management)["cached"] = 60
    house.management.account()
    assert house.run(worker, "load", "big", 70) == ["big"]
    assert house.loaded_in_host() == ["host's"], "an emptied cache was enough"


def test_unload_models_reaches_every_idle_worker(house: House) -> None:
    workers = [house.worker(name) for name in ("one", "two")]
    for worker in workers:
        house.run(worker, "load", "model", 30)
    house.management.unload_all_models()
    assert used_by_pid(house.ledger) == {}
    assert house.trimmed == 1


def test_a_busy_worker_is_left_alone_and_nobody_waits_for_it(house: House) -> None:
    busy, asker = house.worker("busy"), house.worker("asker")
    house.call(busy, "hold", "needed now", 60)
    assert eventually(lambda: holding(house, busy))
    with pytest.raises(MemoryError, match="50 bytes needed, 40 free"):
        house.run(asker, "load", "big", 50)
    with pytest.raises(MemoryError):
        house.load_in_host("big", 50)
    assert holding(house, busy)


def test_a_worker_that_has_comfyui_load_a_model_gives_it_the_room(
    house: House, services: RecordingServices
) -> None:
    """Busy, but waiting for just that: its model would have to go in one process, too."""
    services.more["sample"] = Service(lambda asker: house.load_in_host("sampled", 70))
    worker = house.worker("one")
    assert house.run(worker, "sample_in_host", "worker's", 60) == []
    assert house.loaded_in_host() == ["sampled"]


def test_an_async_node_keeps_its_model_while_it_waits(house: House) -> None:
    busy = house.worker("busy")
    house.call(busy, "hold_and_await", "needed soon", 60)
    assert eventually(lambda: holding(house, busy))
    with pytest.raises(MemoryError):
        house.load_in_host("big", 50)
    assert holding(house, busy)


def test_a_dead_workers_room_is_there_and_its_death_fails_nobody(house: House) -> None:
    dead, asker = house.worker("dead"), house.worker("asker")
    house.run(dead, "load", "model", 90)
    assert dead.pid is not None
    os.kill(dead.pid, signal.SIGKILL)
    assert house.run(asker, "load", "big", 80) == ["big"]


def test_a_worker_that_dies_or_hangs_while_it_is_asked_costs_its_time_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host_memory, "RELEASE_TIMEOUT_S", 0.3)
    stuck = house.worker("stuck")
    house.run(stuck, "load", "model", 60)
    assert stuck.pid is not None
    os.kill(stuck.pid, signal.SIGSTOP)
    try:
        with caplog.at_level(logging.INFO), pytest.raises(MemoryError):
            house.load_in_host("big", 50)
    finally:
        os.kill(stuck.pid, signal.SIGCONT)
    assert "The worker of stuck gave no memory back" in caplog.text


def test_a_worker_whose_own_code_fails_while_it_gives_back_is_named_and_the_next_is_asked(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    broken, fine = house.worker("broken"), house.worker("fine")
    house.run(broken, "load", "model", 10)
    house.run(fine, "load", "model", 80)
    house.ledger.with_name("gone").mkdir()
    ask = broken.ask

    def fail(method: str, args: Sequence[Any] = (), *, timeout_s: float) -> Any:
        return ask(method, [*args, "one too many"], timeout_s=timeout_s)

    broken.ask = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        house.load_in_host("big", 85)
    assert "The worker of broken could not give memory back" in caplog.text
    assert house.loaded_in_host() == ["big"]


def test_comfyuis_models_are_moved_on_its_own_thread(house: House) -> None:
    """An async node asks while nobody waits for it on ComfyUI's thread: that thread does it between two nodes."""
    worker = house.worker("one")
    house.load_in_host("host's", 60)
    threads: list[threading.Thread] = []
    free = house.memory._devices._free_memory
    house.memory._devices._free_memory = lambda *args: (
        threads.append(threading.current_thread()),
        free(*args),
    )[1]

    async def prompt() -> Any:
        house.loop.note()
        call = house.call(worker, "load", "big", 50)
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        call.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
        await done.wait()
        return call.result(LIMIT_S)

    assert asyncio.run(prompt()) == ["big"]
    assert threads == [threading.main_thread()]


def test_comfyui_that_works_on_the_gpu_itself_is_not_waited_for_longer_than_its_time(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ComfyUI's own node samples while another pack's async node wants to load: its model is in use."""
    monkeypatch.setattr(host_memory, "RELEASE_TIMEOUT_S", 0.3)
    worker = house.worker("one")
    house.load_in_host("sampling", 60)

    async def prompt() -> WorkerCall:
        house.loop.note()
        call = house.call(worker, "load", "big", 50)
        done = threading.Event()
        call.add_done_callback(lambda _: done.set())
        assert done.wait(LIMIT_S), "this thread is taken, as by a node, and the worker goes on"
        return call

    with caplog.at_level(logging.INFO), pytest.raises(MemoryError):
        asyncio.run(prompt()).result(LIMIT_S)
    assert "one needs room on cuda:0. ComfyUI frees nothing" in caplog.text
    assert house.loaded_in_host() == ["sampling"]


def test_everybody_asks_everybody_at_once_and_all_come_to_an_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_memory, "RELEASE_TIMEOUT_S", 0.5)
    workers = [house.worker(name) for name in ("one", "two")]
    rounds = 15

    def work(worker: Worker) -> None:
        for number in range(rounds):
            house.call(worker, "load", f"model {number}", 60).exception()

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        try:
            house.load_in_host(f"model {number}", 60)
        except MemoryError:  # both others are at work: as on a real device
            continue
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert all(worker.is_alive for worker in workers)


def test_without_the_wrappers_comfyui_is_as_before(house: House) -> None:
    wrapped = house.management.free_memory
    house.memory.remove()
    plain: ModuleType = house.management
    assert plain.free_memory is not wrapped
    assert plain.free_memory.__name__ == "free_memory"


def test_the_end_of_a_prompt_has_workers_tidy_up_once(house: House) -> None:
    worker = house.worker("one")
    house.run(worker, "litter", 30)
    house.management.soft_empty_cache()
    house.run(worker, "loaded")
    told: list[str] = []
    worker.notify = lambda method, args=(): told.append(method)  # type: ignore[method-assign]
    house.management.soft_empty_cache()
    house.management.soft_empty_cache()
    assert told == ["tidy_memory"]
