"""ComfyUI's small classes arrive as themselves, also those that are no dataclasses."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import msgpack
import pytest

import comfy_env_core
from comfy_env_core.wire.values.classes import (
    attributes_of,
    fill_instance,
    fingerprint,
    is_known,
    new_instance,
)
from host.installation import NEWEST, OLDEST, Release, prepare


@pytest.fixture
def loaded_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    def load(name: str, **members: object) -> types.ModuleType:
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load


def test_comfyuis_small_class_is_known_where_it_is_loaded_or_light(loaded_module: Any) -> None:
    name = ("comfy_execution.graph_utils", "ExecutionBlocker")
    assert not is_known(*name, ())  # no ComfyUI here
    kind = type(name[1], (), {"__module__": name[0], "__qualname__": name[1]})
    loaded_module(name[0], ExecutionBlocker=kind)
    blocker: Any = kind()
    blocker.message = "stop"
    assert fingerprint(kind) == (*name, ()) and is_known(*name, ())
    back = new_instance(*name)
    fill_instance(back, attributes_of(blocker))
    assert type(back) is kind and back.message == "stop"


# Runs where ComfyUI, its torch and its av are.
IN_COMFYUI = """
from fractions import Fraction
from comfy_env_core.wire.values.classes import attributes_of, fill_instance, fingerprint, is_known, new_instance

def travelled(value):
    known = fingerprint(type(value))
    assert known and is_known(*known), type(value)
    made = new_instance(*known[:2])
    fill_instance(made, attributes_of(value))
    return made

assert is_known("comfy_execution.graph_utils", "ExecutionBlocker", ())  # imported now
assert not is_known("comfy_api.latest._input_impl.video_types", "VideoFromFile", ())  # not loaded, and heavy
from comfy_execution.graph_utils import ExecutionBlocker
assert travelled(ExecutionBlocker("stop")).message == "stop"

from comfy_api.input import VideoInput
from comfy_api.input_impl import VideoFromComponents, VideoFromFile
from comfy_api.latest import io
from comfy_api.util import VideoCodec, VideoComponents
back = travelled(VideoFromFile("/a/clip.mp4"))
assert isinstance(back, VideoInput) and back.get_stream_source() == "/a/clip.mp4"
components = VideoComponents(images=[1], frame_rate=Fraction(24))
assert travelled(components) == components
assert travelled(VideoFromComponents(components)).get_components() == components
assert travelled(io.NodeOutput(1, ui={"a": 1})).args == (1,)
assert fingerprint(VideoCodec) is None
"""


@pytest.mark.parametrize("release", [NEWEST, OLDEST], ids=lambda release: release.comfyui_version)
def test_small_classes_of_the_real_comfyui_arrive_as_themselves(release: Release, tmp_path: Path) -> None:
    host = prepare(release)
    (tmp_path / "msgpack").symlink_to(Path(msgpack.__file__).parent)
    path = os.pathsep.join([str(host.comfyui), str(Path(comfy_env_core.__file__).parents[1]), str(tmp_path)])
    command = [str(host.python), "-c", IN_COMFYUI]
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
