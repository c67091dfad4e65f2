"""One base directory and one store of environments for all end-to-end tests: each pack is built once."""

from __future__ import annotations

import pytest

from demo.run import DEMO_PACKS
from host.base import Place, make_place
from host.fixtures import StartComfyUI
from host.server import ComfyUI


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The example packs and us; what one test's server built is there for the next one's."""
    return make_place(tmp_path_factory.mktemp("e2e"), DEMO_PACKS)


@pytest.fixture(scope="module")
def comfyui(place: Place, start_comfyui: StartComfyUI) -> ComfyUI:
    """A server on ``place`` whose sites are all ready or failed."""
    server = start_comfyui(place.base, environment=place.environment)
    server.wait_for_sites()
    return server
