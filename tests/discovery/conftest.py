"""Trees of packs written from a mapping of paths to texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Plant = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Writes files below a custom_nodes directory and returns it."""
    top = tmp_path / "custom_nodes"

    def write(files: Mapping[str, str]) -> Path:
        top.mkdir(exist_ok=True)
        for name, text in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return top

    return write
