"""The pack that is shown from beginning to end does what its page says of it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE_S

from comfy_env_core.cli import installing
from comfy_env_core.cli.context import Context
from docs import examples
from docs.pages import page
from docs.stage import Stage

Run = Callable[..., tuple[Any, ...]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a node of the page's pack, built in a stage, in its worker: class, function, inputs."""
    stage = Stage(tmp_path)
    examples.furnish(page("pack-authors.md"), stage)
    with (
        stage.entered(),
        contextlib.closing(Context(argparse.Namespace(custom_nodes=[stage.custom_nodes]))) as context,
    ):
        manager = context.manager()
        outcome = installing.build(manager, ["paper-cut"])
        assert outcome.exit_code == 0, outcome.lines()
        runtime = manager.sites["paper-cut"]

        def run_node(name: str, function: str, **inputs: Any) -> tuple[Any, ...]:
            request = {
                "class": [runtime.own_module_name, name],
                "instance": name,
                "function": function,
                "args": [],
                "kwargs": inputs,
                "context": {"prompt_id": None, "node_id": None, "list_index": None},
            }
            return tuple(manager.run(runtime, request).result(timeout_s=PATIENCE_S))

        yield run_node


def test_an_object_of_the_pack_goes_from_one_node_to_the_other(run: Run) -> None:
    picture = np.random.default_rng(1).random((1, 16, 24, 3), dtype=np.float32)
    cut, palette = run("PaperCut", "cut", image=picture, sheets=4)
    cut = np.asarray(cut)
    assert (cut.shape, cut.dtype.name) == (picture.shape, "float32")
    assert 1 < len(np.unique(cut.reshape(-1, 3), axis=0)) <= 4 == len(palette.colours)
    (strip,) = run("PaletteStrip", "draw", palette=palette, size=2)
    assert np.asarray(strip).shape == (1, 2, 8, 3)
    assert {tuple(colour) for colour in np.asarray(strip)[0, 0]} == {
        tuple(np.float32(part) / np.float32(255) for part in colour) for colour in palette.colours
    }
