"""Starts after the first: all nodes at once, no process before the first isolated node, none after the server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from patience import PATIENCE_S

from demo.run import isolated_nodes, load_workflow
from host.base import OUR_NAME, Place
from host.fixtures import StartComfyUI
from host.installation import Installation
from host.server import ComfyUI

QUESTION = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "LegacyAskWhere", "inputs": {"image": ["1", 0]}},
}


@pytest.fixture
def working_place(place: Place) -> Iterator[Place]:
    """The place without the broken pack, whose build would be tried again at every start, and rightly so."""
    broken = place.base / "custom_nodes" / "broken"
    disabled = broken.rename(broken.with_name("broken.disabled"))
    yield place
    disabled.rename(broken)


def start_warm(place: Place, start_comfyui: StartComfyUI, **environment: str) -> ComfyUI:
    """A server whose environments exist: built by an earlier test, or by a first start now."""
    first = start_comfyui(place.base, environment=place.environment)
    assert {site["state"] for site in first.wait_for_sites().values()} == {"ready"}
    first.stop()
    return start_comfyui(place.base, environment={**place.environment, **environment})


def test_a_warm_start_has_all_nodes_at_once_and_starts_no_process(
    working_place: Place, start_comfyui: StartComfyUI
) -> None:
    comfyui = start_warm(working_place, start_comfyui)

    known = comfyui.get("/object_info")
    children = [child.cmdline() for child in comfyui.children()]

    assert set(isolated_nodes(load_workflow())) <= set(known)
    assert known["ModernGradientMap"]["python_module"] == "custom_nodes.modern-numpy"
    assert known["ModernGradientMap"]["input"]["required"]["palette"][0] == ["dusk", "lagoon", "ember"]
    assert children == []
    assert comfyui.queue(QUESTION)["outputs"]["2"]["text"]
    assert len(comfyui.children()) >= 1
    assert comfyui.stop() == []


def test_what_is_built_stays_ready_when_builds_are_switched_off(
    working_place: Place, start_comfyui: StartComfyUI
) -> None:
    comfyui = start_warm(working_place, start_comfyui, COMFY_ENV_BUILD="off")

    assert {site["state"] for site in comfyui.sites().values()} == {"ready"}


def test_no_worker_outlives_a_killed_server(place: Place, start_comfyui: StartComfyUI) -> None:
    comfyui = start_comfyui(place.base, environment=place.environment)
    comfyui.wait_for_sites()
    comfyui.queue(QUESTION)

    workers = comfyui.kill()

    assert workers
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert alive == []


def install(
    installation: Installation, place: Place, *custom_nodes: Path
) -> subprocess.CompletedProcess[str]:
    """Run our install.py the way ComfyUI-Manager does."""
    pack = place.base / "custom_nodes" / OUR_NAME
    return subprocess.run(
        [installation.python, "install.py", *custom_nodes],
        cwd=pack,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **place.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.usefixtures("comfyui")
def test_install_fails_with_a_summary_that_names_the_broken_pack(
    installation: Installation, place: Place
) -> None:
    done = install(installation, place)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "broken" in (done.stdout + done.stderr).splitlines()[-1]


@pytest.mark.usefixtures("comfyui")
def test_install_succeeds_when_every_environment_can_be_had(
    installation: Installation, place: Place, tmp_path: Path
) -> None:
    working = tmp_path / "custom_nodes"
    working.mkdir()
    (working / "modern-numpy").symlink_to(place.base / "custom_nodes" / "modern-numpy")

    done = install(installation, place, working)

    assert done.returncode == 0, done.stdout + done.stderr
