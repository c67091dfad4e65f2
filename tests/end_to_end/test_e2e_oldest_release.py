"""The oldest ComfyUI that pyproject.toml admits runs the same workflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.run import DEMO_PACKS, isolated_nodes, load_workflow, surroundings
from host.base import Place, make_place
from host.installation import OLDEST, prepare
from host.server import ComfyUI


@pytest.mark.usefixtures("comfyui")  # builds the environments, which the place below shares
def test_the_demo_runs_in_the_oldest_supported_comfyui(place: Place, tmp_path: Path) -> None:
    base = make_place(tmp_path, DEMO_PACKS).base
    with ComfyUI(prepare(OLDEST), tmp_path / "comfyui.log") as server:
        server.start(base, environment=place.environment)
        server.wait_for_sites()
        server.wait_for_nodes(*isolated_nodes(load_workflow()), timeout_s=30)

        entry = server.queue(load_workflow(), timeout_s=240)

        assert server.get("/system_stats")["system"]["comfyui_version"] == OLDEST.comfyui_version
        assert entry["status"]["status_str"] == "success", entry["status"]
        assert len({row.pid for row in surroundings(load_workflow(), entry["outputs"])}) == 4
        assert server.stop() == []
