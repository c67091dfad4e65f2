"""What ComfyUI finds in our `__init__.py`."""

from __future__ import annotations

import runpy
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from host.base import REPOSITORY

STARTUP = "comfy_env_core.comfyui.startup"


def imported() -> dict[str, Any]:
    return runpy.run_path(str(REPOSITORY / "__init__.py"))


def test_the_page_gets_our_scripts_where_our_routes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, STARTUP, SimpleNamespace(connect=lambda: True))
    assert imported()["WEB_DIRECTORY"] == "./js"


def test_a_second_copy_and_one_that_stands_down_bring_no_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would ask for routes that are not there, and register names that the first copy has registered."""
    monkeypatch.setitem(sys.modules, STARTUP, SimpleNamespace(connect=lambda: False))
    assert "WEB_DIRECTORY" not in imported()


def test_outside_comfyui_it_is_an_empty_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, STARTUP, raising=False)
    assert "WEB_DIRECTORY" not in imported()
    assert imported()["NODE_CLASS_MAPPINGS"] == {}
