"""What an environment gets for CUDA: the packages under `[cuda]`, and torch's family in the build that fits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from comfy_env_core.building.cuda import Cuda
from comfy_env_core.building.cuda_wheels import Combination, wheels_base
from comfy_env_core.building.draft import Draft
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.indexes import TORCH_FAMILY, cuda_version_of_tag, torch_tag
from comfy_env_core.building.requirements import exact_version, is_any, normalised_name, range_of, with_fields
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import EnvSpec


@dataclasses.dataclass(frozen=True)
class CudaWheelsWanted:
    """What a plan asks the index of CUDA wheels for.

    - `names`: keys of the plan's `pypi`. `combination`: the machine's CUDA and the environment's torch.
    - `may_move_torch`: the file leaves torch's version open, so that another torch may be taken if the packages are not
      built for this one.
    """

    names: tuple[str, ...]
    combination: Combination
    may_move_torch: bool


def add_cuda_packages(
    draft: Draft, spec: EnvSpec, host: HostPython, settings: UserSettings
) -> CudaWheelsWanted | None:
    """Adds what stands under `[cuda]`, each from the index for this CUDA and torch; None when nothing comes from there.

    Without an NVIDIA GPU they are left out, with a note.
    """
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
        return _add_from_wheels_index(draft, wanted, spec, host, host.cuda, settings)
    return None


def _add_from_wheels_index(
    draft: Draft, names: Sequence[str], spec: EnvSpec, host: HostPython, cuda: Cuda, settings: UserSettings
) -> CudaWheelsWanted:
    key = draft.pypi_key("torch")
    is_open = key is None or is_any(draft.pypi[key]) or f"pypi-dependencies.{key}" in draft.reasons
    torch = _torch_for_cuda_packages(draft, spec, host)
    combination = Combination.parse(_cuda_of_the_file(draft) or cuda.version, torch)
    if combination is None:
        raise BuildError(
            BuildCause.CONFIG,
            f"{str(spec.path)!r} lists packages under [cuda], built for releases of torch, and {torch!r} is none.",
            'Name a release in the file: [pypi-dependencies] torch = "==2.8.0".',
        )
    index = f"{wheels_base(settings.environ)}/{combination.path}"
    reason = f"under [cuda]; from the index for {combination}"
    for name in names:
        draft.add_pypi(name, {"version": "*", "index": index}, reason)
    return CudaWheelsWanted(tuple(names), combination, is_open)


def _cuda_of_the_file(draft: Draft) -> str | None:
    """Of a torch that the file itself wants in one build, by the version's tag or by its index."""
    key = draft.pypi_key("torch")
    requirement = draft.pypi[key] if key is not None else "*"
    index = str(requirement.get("index", "")) if isinstance(requirement, Mapping) else ""
    version = cuda_version_of_tag(_named_build(draft) or torch_tag(index))
    return f"{version[0]}.{version[1]}" if version is not None else None


def _torch_for_cuda_packages(draft: Draft, spec: EnvSpec, host: HostPython) -> str:
    """The one torch version that `[cuda]` packages are chosen for; makes sure that the environment gets it."""
    key = draft.pypi_key("torch")
    exact = exact_version(draft.pypi[key]) if key else None
    if exact:
        return exact
    if host.torch_release is None:
        raise BuildError(
            BuildCause.CONFIG,
            f"{str(spec.path)!r} lists packages under [cuda] ({', '.join(spec.cuda_packages)}), which are built for "
            "one torch version, but ComfyUI's Python has no torch to follow and the file names no exact one.",
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


def _named_build(draft: Draft) -> str | None:
    """ "cu121" of torch = "==2.4.0+cu121"."""
    key = draft.pypi_key("torch")
    local = (exact_version(draft.pypi[key]) or "").partition("+")[2] if key is not None else ""
    return local if re.fullmatch(r"cpu|xpu|cu\d{3}|rocm\d+(\.\d+)+", local) else None


def pin_torch_family(draft: Draft, source: tuple[str | None, str]) -> tuple[str, ...]:
    """Gives torch, torchvision and torchaudio the index with their right build; returns the keys that got it.

    A line of the file that names a place or an index of its own is left alone. One that names a build ("==2.4.0+cu121")
    decides for all.
    """
    index, why = source
    build = _named_build(draft)
    if index is not None and build is not None:
        index, why = f"{index.rpartition('/')[0]}/{build}", f"the file names the build {build}"
    members = [key for name in TORCH_FAMILY if (key := draft.pypi_key(name)) is not None]
    pinned = []
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
        pinned.append(key)
    if members:
        draft.notes.append(f"{', '.join(members)}: {why}.")
    return tuple(pinned)
