"""Stages for the tests of the API, closed with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="aiohttp comes with ComfyUI; without it there are no routes to test")

from api.stage import Stage

MakeStage = Callable[..., Stage]
"""Called with the options of a `Stage`: one in a directory of its own, not open yet."""


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[MakeStage]:
    made: list[Stage] = []

    def make(**options: Any) -> Stage:  # Any: see `Stage`
        made.append(Stage(tmp_path / f"stage{len(made)}", **options))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """One that is not open yet."""
    return make_stage()
