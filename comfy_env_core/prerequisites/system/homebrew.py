"""Packages of Homebrew on a Mac."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from comfy_env_core.building.commands import run_logged
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.prerequisites.system.contract import InstallPlan
from comfy_env_core.processes import clean_environment

_TIMEOUT_S = 3600.0
# Apple silicon, Intel; a shell that is no login shell often lacks them on its PATH.
_USUAL_PLACES = ("/opt/homebrew/bin/brew", "/usr/local/bin/brew")


@dataclasses.dataclass(frozen=True)
class HomebrewPackages:
    """`program` is brew itself, in `<prefix>/bin`."""

    program: Path
    name: str = "brew"

    def missing(self, packages: Sequence[str]) -> tuple[str, ...]:
        """`<prefix>/opt` has a link for each installed formula, under its name and its aliases (gtk+3, python)."""
        opt = self.program.parent.parent / "opt"
        return tuple(package for package in packages if not (opt / package.rpartition("/")[2]).exists())

    def plan(self, missing: Sequence[str]) -> InstallPlan:
        if not missing:
            return InstallPlan((), (), ())
        return InstallPlan(tuple(missing), (), (("brew", "install", "--formula", *missing),))

    def install(self, missing: Sequence[str], report: Report) -> None:
        """Needs no rights of an administrator, and refuses to run with them."""
        report.phase(Phase.INSTALLING, f"brew install {' '.join(missing)}")
        done = run_logged(
            (self.program, "install", "--formula", *missing),
            env=_environment(),
            cwd=None,
            report=report,
            timeout_s=_TIMEOUT_S,
        )
        if still := self.missing(missing):
            raise BuildError(
                BuildCause.NO_SUCH_PACKAGE if done.returncode == 0 else BuildCause.OTHER_TOOL,
                f"{' '.join(done.argv)!r} ended with {done.returncode}, and {', '.join(still)} is not installed.",
                f"The lines above say why; `brew search {still[0]}` finds what resembles it.",
                tail=done.tail(),
            )


def _environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    quiet = {"HOMEBREW_NO_ENV_HINTS": "1", "HOMEBREW_NO_COLOR": "1", "NONINTERACTIVE": "1"}
    return clean_environment(environ, quiet)


def find_brew() -> Path | None:
    found = [shutil.which("brew"), *_USUAL_PLACES]
    return next((Path(place) for place in found if place and Path(place).is_file()), None)
