"""What one environment will hold, and why: everything that an engine needs, decided before anything is downloaded."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from comfy_env_core.building.cuda_packages import CudaWheelsWanted, add_cuda_packages, pin_torch_family
from comfy_env_core.building.draft import Draft
from comfy_env_core.building.host_packages import add_aiohttp, add_host_packages, add_msgpack
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.indexes import TORCH_FAMILY, merged_pypi_options, torch_index
from comfy_env_core.building.locks.model import LockedEnvironment
from comfy_env_core.building.manifest import manifest_text
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.requirements import normalised_name, range_of
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import EnvSpec, HostNeed, Requirement
from comfy_env_core.discovery import HostUse
from comfy_env_core.environments.identity import environment_id

DEFAULT_CHANNELS = ("conda-forge",)


@dataclasses.dataclass(frozen=True)
class BuildPlan:
    """One environment to be. Holds only what applies to `platform`: its `[target]` tables are merged in already.

    - `python`: "3.10", or a range as the file wrote it (">=3.10,<3.12"). `python_pinned`: the file named it, so no
      other version will do; otherwise it is ComfyUI's own version.
    - `conda`: name → requirement, python left out. `pypi`: the same for PyPI; what we added is in there too.
    - `pypi_options`: pixi's `[pypi-options]` (index-url, extra-index-urls, find-links, …), the user's settings merged;
      URLs may hold credentials.
    - `env_vars`: variables for the worker and for activation.
    - `reasons`: "pypi-dependencies.msgpack" → why we added that line. `notes`: for people: what was added, changed or
      left out, and why. `skipped`: names of packages that the file asks for and that cannot work here (CUDA, no GPU).
    - `cuda_tag`: "cu128" when the environment holds anything that depends on CUDA and there is a GPU.
    - `torch_pins`: the keys of `pypi` that we pinned to an index of torch's. `cuda_wheels`: what comes from the index
      of CUDA wheels, None when nothing does. `settling` makes both final when a build begins.
    - `facts`: the sorted "name=value" lines that went into the id beside the file.
    - `passthrough`: the rest of the file's tables, for pixi's manifest.
    - `lock`: the packages that a lock beside the file names for this machine (`locks.fitting`).
    - `unused_lock`: the note that says why the lock beside the file is not used, None if it is, or there is none.
    """

    environment_id: str
    spec: EnvSpec
    platform: Platform
    python: str
    python_pinned: bool
    channels: tuple[str, ...]
    conda: Mapping[str, Requirement]
    pypi: Mapping[str, Requirement]
    pypi_options: Mapping[str, Any]
    env_vars: Mapping[str, str]
    host_need: HostNeed
    cuda_tag: str | None
    facts: tuple[str, ...]
    notes: tuple[str, ...]
    reasons: Mapping[str, str]
    skipped: tuple[str, ...]
    passthrough: Mapping[str, Any]
    torch_pins: tuple[str, ...] = ()
    cuda_wheels: CudaWheelsWanted | None = None
    lock: LockedEnvironment | None = None
    unused_lock: str | None = None

    @property
    def python_minor(self) -> tuple[int, int] | None:
        """(3, 10) for "3.10" and "3.10.13", None for a range."""
        return _minor(self.python)

    @property
    def own_pypi_options(self) -> Mapping[str, Any]:
        """`[pypi-options]` of the file alone, without the user's settings."""
        return _file_pypi_options(self.passthrough)

    def with_notes(self, *notes: str) -> BuildPlan:
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    @property
    def cuda_version(self) -> str | None:
        """ "12.8" for the tag "cu128"."""
        return f"{self.cuda_tag[2:-1]}.{self.cuda_tag[-1]}" if self.cuda_tag else None

    @property
    def requested(self) -> tuple[str, ...]:
        """The distributions and conda packages that the file asks for here, as it spells them, the skipped left out."""
        added = {key.partition(".")[2] for key in self.reasons}
        asked = {normalised_name(name) for name in (*self.spec.pypi_dependencies, *self.spec.cuda_packages)}
        own = (name for name in self.pypi if name not in added or normalised_name(name) in asked)
        return tuple(dict.fromkeys((*self.conda, *own)))

    def manifest(self, *, rich_platforms: bool = True, own_names: bool = False) -> str:
        """The pixi.toml. `rich_platforms` only for pixi 0.71 and later; older ones get `[system-requirements]`.

        `own_names`: pixi is to take conda's names for PyPI's, instead of fetching a table of them.
        """
        return manifest_text(self, rich_platforms=rich_platforms, own_names=own_names)


def plan_build(
    spec: EnvSpec,
    *,
    platform: Platform,
    host: HostPython,
    host_use: HostUse,
    comfyui_requirements: Sequence[str],
    settings: UserSettings,
) -> BuildPlan:
    """The plan for one file on this machine; reads no disk and no network.

    `comfyui_requirements`: the lines of ComfyUI's requirements.txt. Raises `BuildError(CONFIG)` for a file that cannot
    become an environment here.
    """
    draft = Draft.of(spec, platform)
    draft.facts["platform"] = platform.name
    python, is_pinned = _choose_python(spec, draft, host)
    need = _host_need(spec, host_use, draft)
    _add_what_runs_the_nodes(draft, spec, need, python, host, host_use, comfyui_requirements)
    cuda_wheels = add_cuda_packages(draft, spec, host, settings)
    torch_pins = pin_torch_family(draft, torch_index(platform, host, settings))
    cuda_matters = _record_gpu(draft, spec, host, torch_pins)
    facts = draft.fact_lines()
    return BuildPlan(
        environment_id=environment_id(spec.source, facts),
        spec=spec,
        platform=platform,
        python=python,
        python_pinned=is_pinned,
        channels=_channels(draft.rest),
        conda=draft.conda,
        pypi=draft.pypi,
        pypi_options=merged_pypi_options(_file_pypi_options(draft.rest), settings),
        env_vars=draft.env_vars,
        host_need=need,
        cuda_tag=host.cuda.tag if cuda_matters and host.cuda else None,
        facts=facts,
        notes=tuple(draft.notes),
        reasons=draft.reasons,
        skipped=tuple(draft.skipped),
        passthrough={name: value for name, value in draft.rest.items() if name not in spec.unknown},
        torch_pins=torch_pins,
        cuda_wheels=cuda_wheels,
    )


def _add_what_runs_the_nodes(
    draft: Draft,
    spec: EnvSpec,
    need: HostNeed,
    python: str,
    host: HostPython,
    host_use: HostUse,
    comfyui_requirements: Sequence[str],
) -> None:
    """What the worker needs to speak, and what the source takes from ComfyUI."""
    draft.facts["host_need"] = need.value
    add_msgpack(draft, _minor(python))
    same_python = _minor(python) == _minor(host.version)
    add_host_packages(
        draft,
        need,
        host,
        comfyui_requirements,
        same_python=same_python,
        torch_packages=host_use.torch_packages,
    )
    if host_use.uses_web and spec.options.host is HostNeed.AUTO:
        add_aiohttp(draft, host, same_python=same_python)


def _record_gpu(draft: Draft, spec: EnvSpec, host: HostPython, torch_pins: Sequence[str]) -> bool:
    """Notes the GPU among the facts where it changes the result; returns whether CUDA does."""
    holds_torch = any(draft.pypi_key(name) is not None for name in TORCH_FAMILY)
    cuda_matters = bool(spec.cuda_packages) or bool(draft.conda) or holds_torch
    if cuda_matters:
        draft.facts["cuda"] = host.cuda.tag if host.cuda else "none"
    if holds_torch or spec.cuda_packages:
        draft.notes.extend(host.gpu_notes)
    if torch_pins and host.other_accelerator is not None:
        draft.facts["accelerator"] = host.other_accelerator.tag
    return cuda_matters


def _choose_python(spec: EnvSpec, draft: Draft, host: HostPython) -> tuple[str, bool]:
    """(version or range, whether the file names it, for this platform or for all)."""
    for_platform = draft.conda.pop("python", None)
    asked = range_of(for_platform) if for_platform is not None else spec.python
    if asked is not None:
        return asked, True
    draft.facts["python"] = host.version
    draft.notes.append(f"python: the file names none, so ComfyUI's own version, {host.version}, is taken.")
    return host.version, False


def _minor(version: str) -> tuple[int, int] | None:
    """(3, 10) for "3.10" and "3.10.13", None for a range."""
    match = re.fullmatch(r"(\d+)\.(\d+)(?:\.\d+|\.\*)?", version)
    return (int(match[1]), int(match[2])) if match else None


def _host_need(spec: EnvSpec, host_use: HostUse, draft: Draft) -> HostNeed:
    """The file's word, else what the source imports; `[cuda]` packages need torch in any case."""
    need = spec.options.host
    if need is not HostNeed.AUTO:
        draft.notes.append(f"The file says host = {need.value!r}; the source was not asked.")
        return need
    need = host_use.need
    if need is HostNeed.NONE and host_use.imports_torch:
        need = HostNeed.TORCH
    if need is HostNeed.NONE and spec.cuda_packages:
        draft.notes.append("torch: added because the packages under [cuda] are built against it.")
        return HostNeed.TORCH
    if need is not HostNeed.NONE:
        evidence = ", ".join(host_use.evidence[:3])
        what = "torch" if need is HostNeed.TORCH else "ComfyUI's own modules"
        draft.notes.append(f"The source imports {what} ({evidence}), so their packages are added.")
    return need


def _project_table(rest: Mapping[str, Any]) -> Mapping[str, Any]:
    """`[workspace]`, or `[project]` as older files call it."""
    return {**rest.get("project", {}), **rest.get("workspace", {})}


def _file_pypi_options(rest: Mapping[str, Any]) -> dict[str, Any]:
    return {**_project_table(rest).get("pypi-options", {}), **rest.get("pypi-options", {})}


def _channels(rest: Mapping[str, Any]) -> tuple[str, ...]:
    """Names or URLs, the most important first; pixi's table form orders by priority."""
    listed = _project_table(rest).get("channels") or DEFAULT_CHANNELS
    tables = [{"channel": entry} if isinstance(entry, str) else entry for entry in listed]
    tables.sort(key=lambda table: -int(table.get("priority", 0)))
    return tuple(str(table["channel"]) for table in tables)
