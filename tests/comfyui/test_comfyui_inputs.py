"""What a node writes into its inputs arrives in ComfyUI's own objects: real workers, our side's real service."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy
import pytest
from fakepack import RecordingServices, node_pack, request, spec_for
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.comfyui.services.inputs import OpenInputs
from comfy_env_core.supervision import Service, Worker
from comfy_env_core.worker.nodes.inputs import MAX_ELEMENTS


class Caller:
    """Calls a node as ComfyUI's side does."""

    def __init__(self, worker: Worker, services: RecordingServices) -> None:
        self.worker = worker
        self.changes: list[Any] = []
        self._inputs = OpenInputs()
        services.more["inputs_changed"] = Service(self._change)

    def __call__(self, *args: Any, function: str = "run", **kwargs: Any) -> Any:
        (sent,) = request(self.worker.spec.module_name, function, *args, **kwargs)
        sent["inputs"] = token = self._inputs.open(sent)
        try:
            return self.worker.call("run", [sent]).result(PATIENCE_S)
        finally:
            self._inputs.close(token)

    def _change(self, asker: Any, token: int, changes: Any) -> None:
        self.changes += changes
        self._inputs.change(asker, token, changes)


@pytest.fixture
def call(tmp_path: Path, start_worker: StartWorker, services: RecordingServices) -> Any:
    """`call(body)` makes a worker of a node with that body and gives a Caller."""

    def make(body: str, before: str = "") -> Caller:
        return Caller(start_worker(spec_for(node_pack(tmp_path, body, before))), services)

    return make


WORKFLOW = {"workflow": {"nodes": [{"id": 1, "widgets_values": ["a"]}, {"id": 2}], "links": [[1, 2]]}, "x": 1}

#: name -> what the node does to `d` (a copy of WORKFLOW) and `image` (an array).
WRITES = {
    "a nested value": "d['workflow']['nodes'][0]['widgets_values'] = ['shown']",
    "in a list below": "d['workflow']['nodes'][0]['widgets_values'][0] = 'shown'",
    "append": "d['workflow']['nodes'].append({'id': 3})",
    "insert at the front": "d['workflow']['nodes'].insert(0, {'id': 0})",
    "remove from a list": "del d['workflow']['nodes'][0]",
    "reverse": "d['workflow']['nodes'].reverse()",
    "sort": "d['workflow']['nodes'].sort(key=lambda n: -n['id'])",
    "clear and fill": "d.clear(); d.update(a=1, b=[2])",
    "move within a dict": "d['y'] = d.pop('x')",
    "another order": "d['workflow'] = d.pop('workflow')",
    "remove from a dict": "del d['workflow']['links']",
    "change and move": "n = d['workflow']['nodes']; n[1]['id'] = 9; n.append(n.pop(0))",
    "a value that contains an input": "d['copy'] = {'of': d['workflow']['links']}",
    "another type, the same number": "d['x'] = 1.0",
    "keys that are no texts": "d[5] = (1, 2); d[None] = {3}",
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_what_a_node_writes_into_a_dict_is_in_the_hosts_own(call: Any, write: str) -> None:
    node = call(f"def run(self, d):\n    {write}\n")
    expected, given = copy.deepcopy(WORKFLOW), copy.deepcopy(WORKFLOW)
    exec(write, {"d": expected})
    nodes = {id(node): node for node in given["workflow"]["nodes"]}  # type: ignore[index]

    node(d=given)

    assert given == expected
    assert [type(value) for value in given.values()] == [type(value) for value in expected.values()]
    assert list(given) == list(expected)
    if "workflow" in given:
        kept = [node for node in given["workflow"]["nodes"] if id(node) in nodes]  # type: ignore[index]
        assert len(kept) >= min(len(given["workflow"]["nodes"]), 2) - ("del" in write)  # type: ignore[index]


def test_a_node_that_raises_has_written_all_the_same_and_its_error_is_its_own(call: Any) -> None:
    node = call("def run(self, d):\n    d['a'] = 2\n    raise KeyError('after writing')\n")
    given = {"a": 1}
    with pytest.raises(KeyError, match="after writing"):
        node(d=given)
    assert given == {"a": 2}


def test_an_async_node_writes_as_well(call: Any) -> None:
    node = call(
        "async def run(self, d):\n    await asyncio.sleep(0.01)\n    d['a'] = 2\n", "import asyncio\n"
    )
    given = {"a": 1}
    node(d=given)
    assert given == {"a": 2}


def test_a_replaced_array_comes_back_and_its_neighbour_stays_the_very_same(call: Any) -> None:
    node = call("def run(self, latent):\n    latent['samples'] = latent['samples'] * 2\n")
    samples, mask = numpy.ones((64, 64), numpy.float32), numpy.zeros((64, 64), numpy.float32)
    latent = {"samples": samples, "noise_mask": mask}
    node(latent=latent)
    assert float(latent["samples"].min()) == 2 and latent["samples"] is not samples
    assert latent["noise_mask"] is mask and float(samples.max()) == 1


def test_an_array_that_only_moves_is_not_sent(call: Any) -> None:
    node = call(
        "def run(self, batch, other):\n    batch.append(batch.pop(0))\n    other['first'] = batch[0]\n"
    )
    first, second = numpy.ones((64, 64)), numpy.zeros((64, 64))
    batch, other = [first, second], {}
    node(batch=batch, other=other)
    assert batch[0] is second and batch[1] is first and other["first"] is second


def test_one_object_under_two_names_stays_one(call: Any) -> None:
    node = call("def run(self, a, b):\n    a.append(3)\n    return a is b\n")
    shared = [1]
    assert node(a=shared, b=shared) is True
    assert shared == [1, 3]


def test_nothing_is_sent_for_a_node_that_only_reads_or_writes_what_was_there(call: Any) -> None:
    node = call(
        "def run(self, d, n):\n    d['x'] = 1\n    d['workflow']['nodes'] = d['workflow']['nodes']\n    n += 1\n"
    )
    node(d=copy.deepcopy(WORKFLOW), n=4)
    assert node.changes == []


def test_a_long_list_is_watched_by_a_digest_and_replaced_in_place(call: Any) -> None:
    node = call(
        """
        def run(self, rows, at):
            if at is not None:
                rows["data"][at][1] = -2
        """
    )
    data = [[index, -1] for index in range(MAX_ELEMENTS)]
    rows = {"data": data, "title": "t"}
    node(rows=rows, at=None)
    assert node.changes == []
    node(rows=rows, at=777)
    assert [len(node.changes), rows["data"][777], rows["data"][778], rows["title"]] == [
        1,
        [777, -2],
        [778, -1],
        "t",
    ]


def test_a_value_that_contains_itself_is_no_trap(call: Any) -> None:
    node = call("def run(self, d):\n    d['self'] = d\n")
    given: dict[str, Any] = {"a": []}
    node(d=given)
    assert given["self"] is given


def test_a_change_that_no_longer_fits_says_so_and_changes_nothing() -> None:
    given: dict[str, Any] = {"b": 1}
    inputs = OpenInputs()
    token = inputs.open({"args": [], "kwargs": {"d": given}})
    assert token is not None
    edit = {"put": [["b", [2]]], "drop": [], "order": None}
    asker: Any = None
    with pytest.raises(LookupError, match=r"\['kwargs', 'd', 'a'\].*another shape by now"):
        inputs.change(asker, token, [[["kwargs", "d"], edit], [["kwargs", "d", "a"], edit]])
    inputs.close(token)
    inputs.change(asker, token, [[["kwargs", "d"], edit]])
    assert given == {"b": 1}
