"""What one environment will hold, and why: everything that an engine needs, decided before anything is downloaded."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from comfy_env_core.building.cuda import Cuda, wheels_index
from comfy_env_core.building.draft import Draft
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_packages import add_host_packages, add_msgpack
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.indexes import TORCH_FAMILY, merged_pypi_options, torch_index
from comfy_env_core.building.manifest import manifest_text
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.requirements import exact_version, is_any, normalised_name, range_of, with_fields
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
    - `facts`: the sorted "name=value" lines that went into the id beside the file.
    - `passthrough`: the rest of the file's tables, for pixi's manifest.
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

    def manifest(self, *, rich_platforms: bool = True) -> str:
        """The pixi.toml. `rich_platforms` only for pixi 0.71 and later; older ones get `[system-requirements]`."""
        return manifest_text(self, rich_platforms=rich_platforms)


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
    asked = _asked_python(spec, draft)
    python = asked or host.version
    if asked is None:
        draft.facts["python"] = python
        draft.notes.append(f"python: the file names none, so ComfyUI's own version, {python}, is taken.")
    need = _host_need(spec, host_use, draft)
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
    of_file = _file_pypi_options(draft.rest)
    cuda_matters = _add_cuda_packages(draft, spec, host, settings) or bool(draft.conda)
    cuda_matters |= _pin_torch_family(draft, torch_index(of_file, platform, host, settings))
    if cuda_matters:
        draft.facts["cuda"] = host.cuda.tag if host.cuda else "none"
    facts = tuple(sorted(f"{name}={value}" for name, value in draft.facts.items()))
    return BuildPlan(
        environment_id=environment_id(spec.source, facts),
        spec=spec,
        platform=platform,
        python=python,
        python_pinned=asked is not None,
        channels=_channels(draft.rest),
        conda=draft.conda,
        pypi=draft.pypi,
        pypi_options=merged_pypi_options(of_file, settings),
        env_vars=draft.env_vars,
        host_need=need,
        cuda_tag=host.cuda.tag if cuda_matters and host.cuda else None,
        facts=facts,
        notes=tuple(draft.notes),
        reasons=draft.reasons,
        skipped=tuple(draft.skipped),
        passthrough={name: value for name, value in draft.rest.items() if name not in spec.unknown},
    )


def _asked_python(spec: EnvSpec, draft: Draft) -> str | None:
    """The Python that the file names, for this platform or for all."""
    for_platform = draft.conda.pop("python", None)
    return range_of(for_platform) if for_platform is not None else spec.python


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


def _add_cuda_packages(draft: Draft, spec: EnvSpec, host: HostPython, settings: UserSettings) -> bool:
    """Adds what stands under `[cuda]`, each from the index for this CUDA and torch; True when the file has any."""
    wanted = []
    for name in spec.cuda_packages:
        if normalised_name(name) in TORCH_FAMILY:
            # Older files list them here; they exist for every machine, in the official index.
            if not draft.asks_for(name):
                draft.add_pypi(name, "*", "under [cuda]; from torch's own index")
        elif (key := draft.pypi_key(name)) is None:
            wanted.append(name)
        else:
            draft.notes.append(f"{key}: under [cuda] and [pypi-dependencies]; the latter is taken.")
    if wanted and host.cuda is None:
        draft.skipped.extend(wanted)
        draft.notes.append(
            f"Left out, since no NVIDIA GPU was found: {', '.join(wanted)}. Nodes that need them will fail; "
            "set COMFY_ENV_CUDA_VERSION (for instance 12.8) to install them all the same."
        )
    elif wanted and host.cuda is not None:
        _add_from_wheels_index(draft, wanted, spec, host, host.cuda, settings)
    return bool(spec.cuda_packages)


def _add_from_wheels_index(
    draft: Draft, names: Sequence[str], spec: EnvSpec, host: HostPython, cuda: Cuda, settings: UserSettings
) -> None:
    torch = _torch_for_cuda_packages(draft, spec, host)
    index = wheels_index(settings.environ, cuda.tag, torch)
    reason = f"under [cuda]; from the index for CUDA {cuda.version} and torch {torch}"
    for name in names:
        draft.add_pypi(name, {"version": "*", "index": index}, reason)


def _torch_for_cuda_packages(draft: Draft, spec: EnvSpec, host: HostPython) -> str:
    """The one torch version that `[cuda]` packages are chosen for; makes sure that the environment gets it."""
    key = draft.pypi_key("torch")
    exact = exact_version(draft.pypi[key]) if key else None
    if exact:
        return exact
    if host.torch_release is None:
        raise BuildError(
            BuildCause.CONFIG,
            f"{str(spec.path)!r} lists packages under [cuda] ({', '.join(spec.cuda_packages)}), which are built for one "
            "torch version, but ComfyUI's Python has no torch to follow and the file names no exact one.",
            'Add torch with its version to the file: [pypi-dependencies] torch = "==2.8.0".',
        )
    if key is None:
        draft.add_pypi("torch", f"=={host.torch_release}", "ComfyUI's version; packages under [cuda] need it")
        draft.facts["host.torch"] = f"=={host.torch_release}"
    elif (asked := range_of(draft.pypi[key])) is not None:
        exactly = f"=={host.torch_release}" if is_any(draft.pypi[key]) else f"{asked},=={host.torch_release}"
        table = draft.pypi[key]
        changed = exactly if isinstance(table, str) else {**table, "version": exactly}
        draft.change_pypi(
            key, changed, "ComfyUI's version of what the file allows; packages under [cuda] need one"
        )
        draft.facts["host.torch"] = f"=={host.torch_release}"
    return host.torch_release


def _pin_torch_family(draft: Draft, source: tuple[str | None, str]) -> bool:
    """Gives torch, torchvision and torchaudio the index that holds their right build; True when there are any.

    A line of the file that names a place or an index of its own is left alone.
    """
    index, why = source
    members = [key for name in TORCH_FAMILY if (key := draft.pypi_key(name)) is not None]
    for key in members:
        requirement = draft.pypi[key]
        if index is None or range_of(requirement) is None:
            continue
        if isinstance(requirement, Mapping) and "index" in requirement:
            continue
        before = draft.reasons.get(f"pypi-dependencies.{key}")
        draft.add_pypi(
            key, with_fields(requirement, index=index), f"{before}; {why}" if before else f"index: {why}"
        )
    if members:
        draft.notes.append(f"{', '.join(members)}: {why}.")
    return bool(members)


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
