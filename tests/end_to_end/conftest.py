"""One server for the tests of a module, on the place that all tests share."""

from __future__ import annotations

import pytest

from host.base import Place
from host.fixtures import StartComfyUI
from host.server import ComfyUI


@pytest.fixture(scope="module")
def comfyui(place: Place, start_comfyui: StartComfyUI) -> ComfyUI:
    """A server on ``place`` whose sites are all ready or failed."""
    server = start_comfyui(place.base, environment=place.environment)
    server.wait_for_sites()
    return server
