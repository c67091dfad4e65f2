"""Dicts and lists that are attributes of ComfyUI's objects: what a node changes in them is changed in the host."""

from __future__ import annotations

from typing import Any

import pytest
from nodecalls import Nodes, start_nodes

BODY = """
def run(self, action, model):
    exec(action, globals(), {"model": model, "self": self, "copy": copy, "pickle": pickle})
def value(self, action, model):
    return eval(action, globals(), {"model": model, "copy": copy, "pickle": pickle})
"""


class Model:
    """Has the class name of one of ComfyUI's."""

    def __init__(self) -> None:
        self.function = lambda: 1
        self.model_options: dict[str, Any] = {
            "transformer_options": {"patches": {"attn": [1, 2]}},
            "list": [[0]],
        }

    def set_patch(self, name: str) -> None:
        self.model_options["transformer_options"][name] = True


class Stranger(Model):
    """Not of ComfyUI."""


Model.__module__ = "comfy.model_patcher"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from fakepack import RecordingServices

    from comfy_env_core.supervision import Worker

    started: list[Worker] = []

    def start(spec: Any, **options: Any) -> Worker:
        worker = Worker(spec, RecordingServices(), **options)
        started.append(worker)
        worker.start(30)
        return worker

    yield start_nodes(tmp_path_factory.mktemp("pack"), start, BODY, "import copy, pickle\n")
    started[0].stop(1)


@pytest.mark.parametrize(
    "action",
    [
        "model.model_options['x'] = 1",
        "model.model_options['transformer_options']['y'] = [1]",
        "model.model_options['transformer_options'].setdefault('z', {})['deep'] = 2",
        "model.model_options['transformer_options']['patches']['attn'].append(3)",
        "model.model_options['transformer_options']['patches'].update(a=[1], b={})",
        "del model.model_options['transformer_options']['patches']['attn'][0]",
        "model.model_options['list'] += [[7]]",
        "l = model.model_options['list']; l.insert(0, [5]); l[1].append(6)",
        "o = model.model_options.copy(); o['transformer_options']['shared'] = 1; o['own'] = 1",
        "model.model_options['transformer_options'].pop('patches')",
        "model.model_options.clear()",
    ],
)
def test_a_change_in_the_worker_is_made_in_the_host(nodes: Nodes, action: str) -> None:
    model, expected = Model(), Model()
    exec(action, {"model": expected})
    nodes.get("run", action, model)
    assert model.model_options == expected.model_options


def test_what_the_host_changed_meanwhile_stays(nodes: Nodes) -> None:
    model = Model()
    nodes.get(
        "run",
        "o = model.model_options['transformer_options']; model.set_patch('mine'); o['later'] = 1",
        model,
    )
    assert model.model_options["transformer_options"]["mine"] is True
    assert model.model_options["transformer_options"]["later"] == 1


def test_what_is_put_in_stays_the_workers_object_or_comes_home(nodes: Nodes) -> None:
    model = Model()
    nodes.get(
        "run",
        "model.model_options['f'] = lambda x: x + 1; model.model_options['own'] = model.function",
        model,
    )
    assert model.model_options["f"](1) == 2
    assert model.model_options["own"] is model.function


def test_copies_are_plain_and_change_nothing(nodes: Nodes) -> None:
    model = Model()
    nodes.get("run", "c = copy.deepcopy(model.model_options); c['transformer_options']['x'] = 1", model)
    nodes.get(
        "run", "c = pickle.loads(pickle.dumps(model.model_options)); c['transformer_options']['x'] = 1", model
    )
    assert model.model_options == Model().model_options
    assert nodes.get("value", "type(copy.deepcopy(model.model_options)['list'])", model).__name__ == "list"
    assert nodes.get("value", "model.model_options", model) == model.model_options


def test_an_error_is_raised_in_the_worker_and_changes_nothing(nodes: Nodes) -> None:
    model = Model()
    with pytest.raises(KeyError):
        nodes.get("run", "del model.model_options['missing']", model)
    assert model.model_options == Model().model_options


@pytest.mark.parametrize("how", ["copy", "deepcopy"])
def test_a_copy_of_a_model_is_another_one_in_the_host(nodes: Nodes, how: str) -> None:
    model = Model()
    copied = nodes.get("value", f"copy.{how}(model)", model)
    assert type(copied) is Model and copied is not model
    assert (copied.model_options is model.model_options) == (how == "copy")
    stranger = Stranger()
    assert nodes.get("value", f"copy.{how}(model)", stranger) is stranger


def test_other_objects_give_plain_copies(nodes: Nodes) -> None:
    model = Stranger()
    nodes.get("run", "assert type(model.model_options) is dict; model.model_options['x'] = 1", model)
    assert "x" not in model.model_options


def test_only_lists_and_dicts_are_changed_and_only_by_their_own_methods(nodes: Nodes) -> None:
    model = Model()
    asked = "from comfy_env_core.wire.objects.live import use; use(model, 'edit', '{}', {}, '{}', [], {{}})"
    for attribute, path, method in (("model_options", [], "__getattribute__"), ("function", [], "clear")):
        with pytest.raises(TypeError, match="cannot be performed from another process"):
            nodes.get("run", asked.format(attribute, path, method), model)
