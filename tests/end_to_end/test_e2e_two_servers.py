"""Two ComfyUIs of one machine that start at the same moment and need the same environment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from host.base import Place, make_place
from host.fixtures import StartComfyUI
from host.server import ComfyUI


def test_two_servers_share_one_environment_and_both_are_ready(
    start_comfyui: StartComfyUI, tmp_path: Path
) -> None:
    store = {"COMFY_ENV_ROOT": str(tmp_path / "store")}
    places = [
        Place(make_place(tmp_path / name, ["modern-numpy"]).base, store) for name in ("first", "second")
    ]

    def start(place: Place) -> ComfyUI:
        return start_comfyui(place.base, environment=place.environment)

    with ThreadPoolExecutor() as together:
        servers = list(together.map(start, places))
    sites = [server.wait_for_sites()["modern-numpy"] for server in servers]

    assert [site["state"] for site in sites] == ["ready", "ready"], sites
    assert len({site["environment_id"] for site in sites}) == 1
    assert len(list((tmp_path / "store").glob("_env_*/*/.done"))) == 1
