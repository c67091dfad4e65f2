"""What an environment gets because of what its source imports from ComfyUI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from comfy_env_core.building.draft import Draft
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.indexes import TORCH_FAMILY
from comfy_env_core.building.requirements import normalised_name, split_requirement_line
from comfy_env_core.config import HostNeed, Requirement

#: First Python → oldest msgpack with wheels for it, newest Python first (the "Download files" pages on PyPI).
_MSGPACK_FLOORS = (((3, 14), "1.1.2"), ((3, 13), "1.1.0"), ((3, 12), "1.0.7"))
_MSGPACK_FLOOR = "1.0.5"


def comfyui_requirements(source: Path | None) -> tuple[str, ...]:
    """The lines of ComfyUI's own requirements.txt, comments and options left out; empty without a ComfyUI."""
    path = source / "requirements.txt" if source is not None else None
    if path is None or not path.is_file():
        return ()
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("-"))


def add_msgpack(draft: Draft, python: tuple[int, int] | None) -> None:
    """What our worker speaks; a range, so that one of the file wins without a conflict."""
    if draft.asks_for("msgpack"):
        return
    floor = next((low for since, low in _MSGPACK_FLOORS if python and python >= since), _MSGPACK_FLOOR)
    draft.add_pypi("msgpack", f">={floor},<2", "the worker talks to ComfyUI with it")


def add_host_packages(
    draft: Draft,
    need: HostNeed,
    host: HostPython,
    requirements: Sequence[str],
    *,
    same_python: bool,
    torch_packages: Sequence[str] = (),
) -> None:
    """Adds torch, or all packages of ComfyUI's requirements; what the file asks for itself stays as it is.

    `same_python`: the environment runs ComfyUI's Python version. Where it does not, the versions that ComfyUI has need
    not exist for that Python, and ComfyUI's own ranges are taken instead (for torch the version always).
    `torch_packages`: which of torch, torchvision and torchaudio the source imports.
    """
    if need is HostNeed.TORCH:
        _add_torch(draft, host)
        for name in torch_packages:
            if name != "torch" and not draft.asks_for(name):
                _add_torch_companion(draft, name, host)
    elif need is HostNeed.COMFYUI:
        own_torch = draft.asks_for("torch")
        for line in requirements:
            _add_requirement(draft, line, host, same_python=same_python, own_torch=own_torch)


def add_aiohttp(draft: Draft, host: HostPython, *, same_python: bool) -> None:
    """For packs that serve routes: packs for ComfyUI never ask for it, because ComfyUI's server is made of it."""
    if draft.asks_for("aiohttp"):
        return
    installed = host.distributions.get("aiohttp") if same_python else None
    _record(draft, "aiohttp", f"=={installed}" if installed else "*", "the nodes' routes are served with it")


def _add_torch(draft: Draft, host: HostPython) -> None:
    if draft.asks_for("torch"):
        draft.notes.append(
            "torch: the nodes import it and the file asks for it itself; the file's version is taken."
        )
        return
    if host.torch_release is None:
        _record(
            draft, "torch", "*", "the nodes import torch; ComfyUI's Python has none to follow, so any version"
        )
        return
    _record(draft, "torch", f"=={host.torch_release}", "the nodes import torch; this is ComfyUI's version")


def _add_torch_companion(draft: Draft, name: str, host: HostPython) -> None:
    """torchvision or torchaudio: each release fits one torch release, so the resolver finds it without a version."""
    installed = host.distributions.get(name)
    follows_host = installed is not None and draft.pypi.get("torch") == f"=={host.torch_release}"
    version = f"=={installed.partition('+')[0]}" if installed and follows_host else "*"
    _record(draft, name, version, "the nodes import it; the version follows torch")


def _add_requirement(
    draft: Draft, line: str, host: HostPython, *, same_python: bool, own_torch: bool
) -> None:
    parts = split_requirement_line(line)
    if parts is None:
        return
    name, extras, asked_range = parts[0], parts[1], parts[2]
    normal = normalised_name(name)
    installed = host.distributions.get(normal)
    if draft.asks_for(name) or installed is None or _is_left_out(normal, host):
        return
    if normal in TORCH_FAMILY and own_torch:
        version, reason = "*", "ComfyUI's own code imports it; the version follows the file's torch"
    elif same_python or normal in TORCH_FAMILY:
        version = f"=={installed.partition('+')[0]}"
        reason = "ComfyUI's own code imports it; this is ComfyUI's version"
    else:
        version, reason = asked_range, "ComfyUI's own code imports it; another Python, so ComfyUI's range"
    _record(draft, name, {"version": version, "extras": list(extras)} if extras else version, reason)


def _is_left_out(name: str, host: HostPython) -> bool:
    """The front end and the manager serve the browser; comfy-aimdo exists for CUDA alone."""
    return name.startswith("comfyui-") or (name == "comfy-aimdo" and host.cuda is None)


def _record(draft: Draft, name: str, requirement: Requirement, reason: str) -> None:
    draft.add_pypi(name, requirement, reason)
    text = requirement if isinstance(requirement, str) else str(requirement["version"])
    draft.facts[f"host.{normalised_name(name)}"] = text
