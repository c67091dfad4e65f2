"""A node pack and an object of the host that use each other in every way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from nodecalls import Nodes, start_nodes
from workers import StartWorker

BEFORE = """
import asyncio, os, threading, time
from comfy.model_management import throw_exception_if_processing_interrupted

class MeshError(ValueError):
    pass

class Mesh:
    def __init__(self):
        self.threads = []
        self.gate = threading.Event()
        self.barrier = threading.Barrier(2)
        self.points = [1, 2, 3]
    def down(self, depth, other):
        self.threads.append(threading.current_thread() is threading.main_thread())
        return ["worker", *(other.down(depth - 1, self) if depth else [])]
    def open(self):
        self.gate.set()
    def meet(self):
        return self.barrier.wait(60) >= 0
    def fail(self, text):
        raise MeshError(text)
    def sleep(self):
        time.sleep(100)
    def die(self):
        os._exit(5)
    def call(self, function, *args):
        return function(*args)
    def __len__(self):
        return len(self.points)
    def __getitem__(self, index):
        return self.points[index]
"""
BODY = """
def mesh(self):
    self.kept = Mesh()
    return self.kept
def use(self, vae, latent):
    vae.name = vae.name + "!"
    vae["seed"] = vae["seed"] + 1
    return [vae.decode(latent), vae.name, [x for x in vae], len(vae), float(vae.weights.sum()), vae.first_stage.layers]
def many(self, vae, count):
    return [vae.decode(number) for number in range(count)]
def down(self, other, depth):
    mesh = self.kept = Mesh()
    return other.down(depth, mesh), mesh.threads
def call(self, function, *args):
    return function(*args)
def in_threads(self, other, count, depth):
    results, mesh = [], Mesh()
    threads = [threading.Thread(target=lambda: results.append(other.down(depth, mesh))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
def meet(self, other):
    results = []
    threads = [threading.Thread(target=lambda: results.append(other.meet())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
async def awaits(self, vae, latent):
    await asyncio.sleep(0)
    here = vae.decode(latent)
    aside = await asyncio.to_thread(vae.decode, latent)
    return [here, aside]
def until_open(self, mesh):
    return mesh.gate.wait(60)
async def until_open_async(self, mesh):
    while not mesh.gate.is_set():
        await asyncio.sleep(0.005)
    return True
def fail(self, vae):
    vae.fail("no decoder")
def catch(self, vae):
    try:
        vae.call(Mesh().fail, "no faces")
    except MeshError as error:
        return [str(error), type(error) is MeshError]
def interrupted(self, vae):
    vae.wait()
    throw_exception_if_processing_interrupted()
"""


class VaeError(RuntimeError):
    pass


class Stage:
    layers = 3


class Vae:
    """As nodes get it from ComfyUI: attributes, arrays, items, iteration, a method that takes long."""

    def __init__(self) -> None:
        self.name = "vae"
        self.weights = numpy.ones((300, 300), numpy.float32)
        self.first_stage = Stage()
        self.settings = {"seed": 1}
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.may_leave = threading.Event()
        self.barrier = threading.Barrier(2)

    def decode(self, latent: Any) -> Any:
        self.threads.add(threading.get_ident())
        return latent * 2

    def down(self, depth: int, other: Any) -> list[str]:
        self.threads.add(threading.get_ident())
        return ["host", *(other.down(depth - 1, self) if depth else [])]

    def call(self, function: Any, *args: Any) -> Any:
        return function(*args)

    def meet(self) -> bool:
        return self.barrier.wait(60) >= 0

    def wait(self) -> None:
        self.entered.set()
        assert self.may_leave.wait(60)

    def fail(self, text: str) -> None:
        raise VaeError(text)

    def __getitem__(self, name: str) -> Any:
        return self.settings[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.settings[name] = value

    def __len__(self) -> int:
        return len(self.settings)

    def __iter__(self) -> Iterator[str]:
        self.threads.add(threading.get_ident())
        return iter(self.settings)


@pytest.fixture
def nodes(tmp_path: Path, start_worker: StartWorker) -> Nodes:
    return start_nodes(tmp_path, start_worker, BODY, BEFORE)
