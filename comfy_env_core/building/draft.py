"""A plan while it is being made: what the file asks for, what is added to it, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfy_env_core.building.file_paths import rooted_requirements, rooted_tables, rooting
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.requirements import (
    normalised_name,
    normalised_names,
    pypi_name_of_conda,
)
from comfy_env_core.building.toml_text import toml_value
from comfy_env_core.config import EnvSpec, Requirement


@dataclasses.dataclass
class Draft:
    """Mutable, and owned by `plan_build` alone. The fields are those of `BuildPlan`; `rest` becomes `passthrough`."""

    conda: dict[str, Requirement]
    pypi: dict[str, Requirement]
    env_vars: dict[str, str]
    rest: dict[str, Any]  # Any: tables of pixi's own
    notes: list[str] = dataclasses.field(default_factory=list)
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)
    skipped: list[str] = dataclasses.field(default_factory=list)
    facts: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, spec: EnvSpec, platform: Platform) -> Draft:
        """The file with the `[target]` tables that apply here merged in, the more specific over the more general.

        The manifest is for one machine, so tables for other platforms are left out of it.
        """
        draft = cls(
            dict(spec.dependencies), dict(spec.pypi_dependencies), dict(spec.env_vars), dict(spec.passthrough)
        )
        draft.notes.extend(f"In the file, {warning.within}" for warning in spec.warnings)
        targets = draft.rest.pop("target", {})
        for selector in platform.selectors:
            draft._merge_target(targets.get(selector, {}))
        draft._join_conda_tables()
        draft._root_paths(spec.path.parent)
        draft._note_what_is_left_out(platform, targets)
        return draft

    def asks_for(self, name: str) -> bool:
        """Whether the file, or an addition before, names this distribution, on either side."""
        wanted = normalised_name(name)
        return wanted in normalised_names(self.pypi) or wanted in {
            pypi_name_of_conda(conda) for conda in self.conda
        }

    def pypi_key(self, name: str) -> str | None:
        """The spelling under which `[pypi-dependencies]` holds the distribution, None when it does not."""
        wanted = normalised_name(name)
        return next((key for key in self.pypi if normalised_name(key) == wanted), None)

    def fact_lines(self) -> tuple[str, ...]:
        """The facts as they go into the id: sorted "name=value" lines."""
        return tuple(sorted(f"{name}={value}" for name, value in self.facts.items()))

    def add_pypi(self, name: str, requirement: Requirement, reason: str) -> None:
        self.pypi[name] = requirement
        self.reasons[f"pypi-dependencies.{name}"] = reason

    def change_pypi(self, name: str, requirement: Requirement, reason: str) -> None:
        """Replaces a line of the file itself; the reason says what was changed."""
        self.add_pypi(name, requirement, reason)
        self.notes.append(f"{name}: {reason}")

    def _merge_target(self, target: Mapping[str, Any]) -> None:
        for key, table in target.items():
            if key == "dependencies":
                self.conda.update(table)
            elif key == "pypi-dependencies":
                self._override_pypi(table)
            elif key == "activation":
                general = self.rest.get("activation", {})
                self.rest["activation"] = {
                    **general,
                    **table,
                    "env": {**general.get("env", {}), **table.get("env", {})},
                }
            else:
                self.rest[key] = {**self.rest.get(key, {}), **table}

    def _join_conda_tables(self) -> None:
        """pixi puts what a build would need into the environment as well; its own order of precedence."""
        for name in ("host-dependencies", "build-dependencies"):
            table = self.rest.pop(name, {})
            if table:
                self.notes.append(
                    f"[{name}]: an environment holds these packages like those of [dependencies]."
                )
            for package in (name for name in table if name in self.conda):
                line = f"{package} = {toml_value(table[package])}"
                self.notes.append(f"[{name}] {line}: another table asks for it as well, and wins.")
            self.conda = {**table, **self.conda}

    def _root_paths(self, base: Path) -> None:
        """Two packs with the same file and a path in it have two environments: the path leads to different places."""
        root = rooting(base)
        conda, pypi = rooted_requirements(self.conda, root), rooted_requirements(self.pypi, root)
        rest = rooted_tables(self.rest, root)
        if (conda, pypi, rest) != (self.conda, self.pypi, self.rest):
            self.facts["directory"] = base.absolute().as_posix()
        self.conda, self.pypi, self.rest = conda, pypi, rest

    def _note_what_is_left_out(self, platform: Platform, targets: Mapping[str, Any]) -> None:
        """What the file says, and a manifest for one machine cannot: people should find it said somewhere."""
        workspace = {**self.rest.get("project", {}), **self.rest.get("workspace", {})}
        others = [name for name in targets if name not in platform.selectors]
        if others:
            listed = ", ".join(f"[target.{name}]" for name in others)
            self.notes.append(f"Left out, being for other platforms: {listed}.")
        if "name" in workspace:
            self.notes.append(f"The name {workspace['name']!r} gives way to the id of the environment.")
        if "platforms" in workspace:
            named = [
                entry if isinstance(entry, str) else entry.get("platform") for entry in workspace["platforms"]
            ]
            if named != [platform.name]:
                self.notes.append(
                    f"The file names {', '.join(map(str, named))}; this environment is for {platform.name}."
                )
        system = self.rest.get("system-requirements", {})
        if "unix" in system:
            self.notes.append(
                f"[system-requirements] unix = {system['unix']} is left out: it changes no environment."
            )
        if isinstance(libc := system.get("libc"), Mapping) and libc.get("family", "glibc") != "glibc":
            self.notes.append(
                f"[system-requirements] libc = {toml_value(libc)} is left out: packages are for glibc."
            )
        empty = [name for name, value in self.env_vars.items() if not value]
        if empty:
            self.notes.append(
                f"{', '.join(empty)}: set to nothing in the worker; pixi's manifest has no empty variables."
            )

    def _override_pypi(self, table: Mapping[str, Requirement]) -> None:
        """`opencv_python` for one platform replaces `opencv-python` for all: to an index they are one name."""
        for name, requirement in table.items():
            general = self.pypi_key(name)
            if general is not None:
                del self.pypi[general]
            self.pypi[name] = requirement
