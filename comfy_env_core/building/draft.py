"""A plan while it is being made: what the file asks for, what is added to it, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from comfy_env_core.building.platform import Platform
from comfy_env_core.building.requirements import (
    normalised_name,
    normalised_names,
    pypi_name_of_conda,
)
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
        targets = draft.rest.pop("target", {})
        for selector in platform.selectors:
            draft._merge_target(targets.get(selector, {}))
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

    def _override_pypi(self, table: Mapping[str, Requirement]) -> None:
        """`opencv_python` for one platform replaces `opencv-python` for all: to an index they are one name."""
        for name, requirement in table.items():
            general = self.pypi_key(name)
            if general is not None:
                del self.pypi[general]
            self.pypi[name] = requirement
