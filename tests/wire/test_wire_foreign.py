"""Objects that could neither be had nor reached: they pass through, and explain themselves when used."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from comfy_env_core.wire.errors import ForeignHandle
from comfy_env_core.wire.objects.foreign import ForeignObject
from comfy_env_core.wire.objects.handles import BorrowedObjects

USES: list[Callable[[Any], Any]] = [
    lambda mesh: mesh.vertices,
    lambda mesh: hasattr(mesh, "vertices"),
    lambda mesh: setattr(mesh, "vertices", 1),
    lambda mesh: mesh.scale(2),
    lambda mesh: mesh(1),
    lambda mesh: mesh[0],
    lambda mesh: operator.setitem(mesh, 0, 1),
    iter,
    len,
    bool,
    lambda mesh: 1 in mesh,
    lambda mesh: mesh + 1,
    lambda mesh: 1 + mesh,
    lambda mesh: mesh < 1,
    int,
    float,
    lambda mesh: mesh.__enter__(),
    pickle.dumps,
]


@pytest.fixture
def mesh() -> ForeignObject:
    return ForeignObject(
        BorrowedObjects("ComfyUI"),
        7,
        "trimesh.base.Trimesh",
        origin="worker mesh-pack",
        here="worker paint-pack",
        reason="the module 'trimesh' is not installed",
    )


@pytest.mark.parametrize("use", USES)
def test_every_use_explains_type_environments_reason_and_remedy(
    mesh: ForeignObject, use: Callable[[Any], Any]
) -> None:
    with pytest.raises(ForeignHandle) as caught:
        use(mesh)
    told = str(caught.value)
    for part in (
        "trimesh.base.Trimesh",
        "worker mesh-pack",
        "worker paint-pack",
        "the module 'trimesh' is not installed",
        "comfy-env.toml",
        "register a codec for 'Trimesh'",
    ):
        assert part in told


def test_what_a_cache_or_a_log_does_with_it_works(mesh: Any) -> None:
    assert (
        repr(mesh)
        == str(mesh)
        == "<trimesh.base.Trimesh of worker mesh-pack, not usable in worker paint-pack>"
    )
    assert copy.copy(mesh) is mesh and copy.deepcopy([mesh])[0] is mesh
    assert {mesh: 1}[mesh] == 1 and mesh == mesh and mesh != "x"
    assert not hasattr(mesh, "__array_interface__") and not hasattr(mesh, "__fspath__")
