"""A pack whose file asks for CUDA packages, on a machine without a GPU: it is built without them, and says so."""

from __future__ import annotations

from typing import Any

import pytest
from patience import PATIENCE_S

from comfy_env_core.environments.states import SiteState

House = Any  # the fixture's class; conftest modules cannot be imported by name

CONFIG = '[options]\nhost = "none"\n[cuda]\npackages = ["flash-attn", "gsplat"]\n'


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFY_ENV_CUDA_VERSION", "none")


def test_a_pack_that_needs_a_gpu_at_its_import_fails_with_the_reason_beside_it(house: House) -> None:
    house.pack("needy", config=CONFIG, __init__="import flash_attn\nNODE_CLASS_MAPPINGS = {}\n")
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    status = manager.sites["needy"].status()
    assert status.state is SiteState.FAILED
    assert "flash_attn" in str(status.failure)
    assert status.left_out == ("flash-attn", "gsplat")
    assert "no NVIDIA GPU" in str(status.left_out_text)


def test_other_packs_are_ready_and_say_what_they_do_without_also_at_the_next_start(house: House) -> None:
    house.pack("mesh", config=CONFIG)
    manager = house.open()
    assert manager.wait(PATIENCE_S)
    assert manager.sites["mesh"].state is SiteState.READY
    assert manager.sites["mesh"].status().left_out == ("flash-attn", "gsplat")
    later = house.open()
    assert later.sites["mesh"].state is SiteState.READY
    assert later.sites["mesh"].status().as_json()["left_out"] == ["flash-attn", "gsplat"]
    assert house.engine.builds == 1
