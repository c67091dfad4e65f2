"""What a good comfy-env-root.toml becomes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comfy_env_core.config import ConfigError, GitSource, NodeRequirement, Prerequisites, RootSpec

Reader = Callable[[str], RootSpec]


def test_every_section_arrives(root: Reader) -> None:
    spec = root(
        '[apt]\npackages = ["libgl1", "libglu1-mesa"]\n[brew]\npackages = ["ffmpeg"]\n'
        '[node_reqs]\nKJNodes = "kijai/ComfyUI-KJNodes"\n[types]\nTRIMESH = "custom"\n'
    )
    assert spec.prerequisites == Prerequisites(
        apt=("libgl1", "libglu1-mesa"),
        brew=("ffmpeg",),
        node_reqs=(NodeRequirement("KJNodes", GitSource("https://github.com/kijai/ComfyUI-KJNodes")),),
    )
    assert spec.types == {"TRIMESH": "custom"}
    assert spec.warnings == ()


def test_what_is_meant_for_the_python_of_comfyui_is_kept_and_warned_of(root: Reader) -> None:
    spec = root('python = "3.11"\n[cuda]\npackages = ["flash-attn"]\n')
    assert spec.passthrough == {"python": "3.11", "cuda": {"packages": ["flash-attn"]}}
    assert [warning.key for warning in spec.warnings] == ["python", "cuda"]
    assert all("never changed" in warning.problem for warning in spec.warnings)


def test_empty_sections_ask_for_nothing_and_warn_of_nothing(root: Reader) -> None:
    assert root("[cuda]\npackages = []\n[dependencies]\n[apt]\npackages = []\n").warnings == ()


def test_node_packs_are_read_as_what_they_are_called_today(root: Reader) -> None:
    spec = root('[node_packs]\nKJ = "kijai/ComfyUI-KJNodes"\n')
    assert [required.directory for required in spec.prerequisites.node_reqs] == ["KJ"]
    (warning,) = spec.warnings
    assert warning.line == 1
    assert '[node_reqs] KJ = "kijai/ComfyUI-KJNodes"' in warning.remedy


@pytest.mark.parametrize("way", ['"pickle"', '"Custom"', "true", "{ codec = 1 }"])
def test_type_that_travels_in_an_unknown_way_is_refused_with_its_key_and_both_ways(
    root: Reader, way: str
) -> None:
    with pytest.raises(
        ConfigError, match=r"""line 2, key 'types.TRIMESH'.*"builtin", or "custom" if serial"""
    ) as caught:
        root(f"[types]\nTRIMESH = {way}\n")
    assert caught.value.key == "types.TRIMESH"
