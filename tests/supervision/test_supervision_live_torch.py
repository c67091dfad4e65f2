"""ComfyUI's torch state and errors around calls that two processes make to each other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from nodecalls import Nodes, start_nodes
from workers import StartWorker

torch = pytest.importorskip("torch")

BEFORE = """
import torch

class OldOutOfMemoryError(RuntimeError):
    pass

OldOutOfMemoryError.__module__ = "torch.cuda"
OldOutOfMemoryError.__name__ = OldOutOfMemoryError.__qualname__ = "OutOfMemoryError"

class Model:
    def __init__(self):
        self.weight = torch.full((400, 400), 2.0)
    def forward(self, latent, vae):
        return vae.decode(latent * self.weight)
"""
BODY = """
def decode(self, vae, latent):
    return vae.decode(latent)
def many(self, vae, count):
    return [vae.decode(torch.ones(2)).is_inference() for _ in range(count)]
def model(self):
    return Model()
def fail(self, name):
    raise {
        "new": torch.OutOfMemoryError, "old": OldOutOfMemoryError, "memory": MemoryError
    }[name]("CUDA out of memory. Tried to allocate 2.00 GiB")
def retry(self, vae):
    try:
        return vae.decode(None)
    except torch.OutOfMemoryError as error:
        return str(error)
"""


class Vae:
    """Remembers the state of torch in which it was used."""

    def __init__(self) -> None:
        self.modes: list[bool] = []

    def decode(self, latent: Any) -> Any:
        self.modes.append(torch.is_inference_mode_enabled())
        if latent is None:
            raise torch.OutOfMemoryError("Allocation on device")
        return latent * 3


@pytest.fixture
def nodes(tmp_path: Path, start_worker: StartWorker) -> Nodes:
    return start_nodes(tmp_path, start_worker, BODY, BEFORE)


@pytest.mark.parametrize("name", ["new", "old"])
def test_out_of_memory_in_a_worker_is_the_hosts_own_error(nodes: Nodes, name: str) -> None:
    with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 2.00 GiB") as caught:
        nodes.get("fail", name)
    assert type(caught.value) is torch.cuda.OutOfMemoryError


def test_memory_error_of_a_worker_is_the_hosts(nodes: Nodes) -> None:
    with pytest.raises(MemoryError, match="out of memory") as caught:
        nodes.get("fail", "memory")
    assert type(caught.value) is MemoryError


def test_out_of_memory_in_the_host_is_the_workers_own_error(nodes: Nodes) -> None:
    assert nodes.get("retry", Vae()) == "Allocation on device"


def test_object_of_the_host_is_used_in_the_inference_mode_of_the_thread_that_waits(nodes: Nodes) -> None:
    vae = Vae()
    latent = torch.ones(300, 300)
    with torch.inference_mode():
        assert torch.equal(nodes.get("decode", vae, latent), latent * 3)
        call = nodes("many", vae, 4)
        with call.attended():
            while not call.wait(0.001):
                time.sleep(0.03)
    nodes.get("decode", vae, latent)
    assert vae.modes == [True] * 5 + [False]


def test_model_of_a_worker_and_object_of_the_host_pass_tensors_back_and_forth(nodes: Nodes) -> None:
    vae, model = Vae(), nodes.get("model")
    with torch.inference_mode():
        image = model.forward(torch.ones(400, 400), vae)
    assert torch.equal(image, torch.full((400, 400), 6.0)) and vae.modes == [True]
    assert torch.equal(model.weight, torch.full((400, 400), 2.0))
