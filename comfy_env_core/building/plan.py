"""What one environment will hold, and why: everything that an engine needs, decided before anything is downloaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from comfy_env_core.building.platform import Platform

if TYPE_CHECKING:
    from comfy_env_core.config import EnvSpec, HostNeed

#: A version range ("*", ">=1.2,<2") or pixi's table form. Any: the table's values are pixi's affair.
Requirement = str | Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class BuildPlan:
    """One environment to be. Holds only what applies to `platform`: its `[target]` tables are merged in already.

    - `python`: "3.10", or a constraint as the file wrote it (">=3.10,<3.12"). `python_pinned`: the file named it, so no
      other version will do; otherwise it is ComfyUI's own version.
    - `conda`: name → requirement, python left out. `pypi`: the same for PyPI; what we added is in there too.
    - `pypi_options`: pixi's `[pypi-options]` (index-url, extra-index-urls, find-links, …), the user's settings merged.
    - `env_vars`: variables for the worker and for activation.
    - `reasons`: "pypi-dependencies.msgpack" → why we added that line. `notes`: for people: what was added, changed or
      left out, and why. `skipped`: names of packages that the file asks for and that cannot work here (CUDA, no GPU).
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

    def manifest(self, *, rich_platforms: bool = True) -> str:
        """The pixi.toml. `rich_platforms` only for pixi 0.71 and later; older ones get `[system-requirements]`."""
        raise NotImplementedError
