"""A node that needs a model of ComfyUI in its own process is told what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nodecalls import Nodes, start_nodes
from workers import StartWorker

from comfy_env_core.wire.errors import NotHere

BODY = """
def save(self, model, path):
    return pickle.dumps({"model": model, "path": path})
async def save_later(self, model):
    return pickle.dumps(model)
def cat(self, mask, model):
    return torch.cat([torch.ones(2), model])
def surgery(self, model):
    return torch.nn.functional.linear(torch.ones(2, 2), model.weight)
"""


class ModelPatcher:
    """The class name of ComfyUI's."""

    def __init__(self) -> None:
        self.weight = Weight()


class Weight:
    pass


ModelPatcher.__module__ = "comfy.model_patcher"


def test_pickling_a_model_names_node_argument_type_and_way_out(
    tmp_path: Path, start_worker: StartWorker
) -> None:
    nodes = start_nodes(tmp_path, start_worker, BODY, "import pickle\n")
    with pytest.raises(NotHere) as caught:
        nodes.get("save", model=ModelPatcher(), path="x")
    text = str(caught.value)
    assert "cannot be pickled" in text
    assert "The node 'Node' was given 'model' (comfy.model_patcher.ModelPatcher) and needs" in text
    assert 'in_host = ["Node"] under [options] in the comfy-env.toml' in text


def test_an_async_node_is_told_as_well(tmp_path: Path, start_worker: StartWorker) -> None:
    nodes = start_nodes(tmp_path, start_worker, BODY, "import pickle\n")
    with pytest.raises(NotHere, match=r'in_host = \["Node"\]'):
        nodes.get("save_later", model=ModelPatcher())


@pytest.fixture
def torch_nodes(tmp_path: Path, start_worker: StartWorker) -> Nodes:
    pytest.importorskip("torch")
    return start_nodes(tmp_path, start_worker, BODY, "import torch\n")


@pytest.mark.parametrize(
    ("function", "arguments", "operation"),
    [
        ("cat", {"mask": 1, "model": ModelPatcher()}, "torch's 'cat'"),
        ("surgery", {"model": ModelPatcher()}, "torch's 'linear'"),
    ],
)
def test_torch_refuses_an_object_of_comfyui_with_the_way_out(
    torch_nodes: Nodes, function: str, arguments: dict[str, Any], operation: str
) -> None:
    with pytest.raises(NotHere) as caught:
        torch_nodes.get(function, **arguments)
    assert operation in str(caught.value)
    assert "'model' (comfy.model_patcher.ModelPatcher)" in str(caught.value)
    assert 'in_host = ["Node"]' in str(caught.value)
