"""Packages of Debian, Ubuntu and their kin: dpkg tells what is there, apt-get installs what is not."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from comfy_env_core.building.commands import Completed, run_logged
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.prerequisites.system import rights
from comfy_env_core.prerequisites.system.apt_outcome import Outcome, StatusLines, explain
from comfy_env_core.prerequisites.system.contract import Argv, InstallPlan
from comfy_env_core.prerequisites.system.dpkg import RENAMED, STATUS_PATH, SUCCESSORS, read_dpkg_state
from comfy_env_core.processes import clean_environment

_LISTS = Path("/var/lib/apt/lists")
_LOCKS = (Path("/var/lib/dpkg/lock-frontend"), Path("/var/lib/apt/lists/lock"))
_INSTALL = ("apt-get", "install", "-y", "--no-install-recommends")
_UPDATE = ("apt-get", "update")
_FINISH = ("dpkg", "--configure", "-a")

_TIMEOUT_S = 3600.0
_POLICY_TIMEOUT_S = 60.0

_POLICY = re.compile(r"^(\S+):\n(?:^ .*\n)*?^  Candidate: (.+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class AptPackages:
    """The paths are dpkg's and apt's own. Unattended upgrades hold the lock for a minute or two."""

    name: str = "apt"
    status_path: Path = STATUS_PATH
    lists_path: Path = _LISTS
    lock_paths: tuple[Path, ...] = _LOCKS
    lock_timeout_s: int = 90

    def missing(self, packages: Sequence[str]) -> tuple[str, ...]:
        state = read_dpkg_state(self.status_path)
        return tuple(package for package in packages if not state.has(package))

    def plan(self, missing: Sequence[str]) -> InstallPlan:
        """Without package lists (a container's image has none) every name is taken as it is, after an update."""
        if not missing:
            return InstallPlan((), (), ())
        has_lists = self._has_lists()
        install, unknown = self._known(missing) if has_lists else (tuple(missing), ())
        steps: list[Argv] = []
        if self._has_unfinished():
            steps.append(_FINISH)
        if not has_lists or unknown:
            steps.append(_UPDATE)
        if install:
            steps.append((*_INSTALL, *install))
        prefix = rights.shown_prefix()
        return InstallPlan(install, unknown, tuple((*prefix, *step) for step in steps))

    def install(self, missing: Sequence[str], report: Report) -> None:
        """A cancelled download leaves nothing behind; once dpkg runs, it is let finish."""
        plan = self.plan(missing)
        prefix = rights.silent_prefix()
        if prefix is None:
            raise BuildError(
                BuildCause.PERMISSION,
                f"Installing {', '.join(missing)} needs the rights of an administrator.",
                f"Type in a terminal: {' && '.join(plan.shell_lines())}",
            )
        # What runs as root through sudo is not ours to kill.
        report = Uninterrupted(report) if prefix else report
        if self._has_unfinished():
            self._run((*prefix, *_FINISH), Uninterrupted(report), Phase.INSTALLING)
        if plan.unknown or not self._has_lists():
            self._run((*prefix, *_UPDATE, *self._options()), report, Phase.RESOLVING)
            plan = self.plan(missing)
        if plan.install:
            self._install(plan.install, prefix, report)
        if plan.unknown:
            raise _not_offered(plan)
        if still := self.missing(missing):
            raise BuildError(
                BuildCause.OTHER_TOOL,
                f"apt-get installed {', '.join(plan.install)} without complaint, but {', '.join(still)} is not there.",
                "Look at the lines above; `dpkg -l` lists what is installed.",
            )

    def _install(self, names: Sequence[str], prefix: Argv, report: Report) -> None:
        command = (*prefix, *_INSTALL, *self._options())
        self._run((*command, "--download-only", *names), report, Phase.DOWNLOADING)
        self._run((*command, *names), Uninterrupted(report), Phase.INSTALLING)

    def _has_lists(self) -> bool:
        return any("_Packages" in path.name for path in self.lists_path.glob("*_Packages*"))

    def _has_unfinished(self) -> bool:
        return bool(read_dpkg_state(self.status_path).unfinished)

    def _options(self) -> Argv:
        """Machine-readable progress on stdout (apt's progress-reporting), patience with whoever installs just now."""
        options = ("APT::Status-Fd=1", "Dpkg::Use-Pty=0", f"DPkg::Lock::Timeout={self.lock_timeout_s}")
        return tuple(part for option in options for part in ("-o", option))

    def _known(self, missing: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names that apt can install for these, and those it has nothing for."""
        alternatives = {name: tuple(_alternatives(name)) for name in missing}
        asked = {part for several in alternatives.values() for names in several for part in names}
        offered = _offered(sorted(asked))
        install: dict[str, None] = {}
        unknown: list[str] = []
        for name, several in alternatives.items():
            found = next((names for names in several if all(part in offered for part in names)), None)
            if found is None:
                unknown.append(name)
            else:
                install.update(dict.fromkeys(found))
        return tuple(install), tuple(unknown)

    def _run(self, argv: Argv, report: Report, phase: Phase) -> None:
        """Raises BuildError when the command fails, for the reason that dpkg's files and locks tell."""
        report.phase(phase, " ".join(argv))
        lines = StatusLines(report, phase)
        done = run_logged(
            argv, env=_environment(), cwd=None, report=report, timeout_s=_TIMEOUT_S, on_line=lines.take
        )
        if done.returncode:
            raise explain(self._outcome(done, lines, phase))

    def _outcome(self, done: Completed, lines: StatusLines, phase: Phase) -> Outcome:
        return Outcome(
            command=done,
            phase=phase,
            failed_packages=lines.failed_packages or read_dpkg_state(self.status_path).unfinished,
            lock_paths=self.lock_paths,
        )


class Uninterrupted:
    """A report whose step cannot be cancelled: dpkg that is killed at its work leaves packages half installed."""

    def __init__(self, report: Report) -> None:
        self.phase = report.phase
        self.packages = report.packages
        self.percent = report.percent
        self.percent = report.percent
        self.log = report.log
        self.pypi_turn = report.pypi_turn

    def check(self) -> None:
        """Never raises."""


def _alternatives(name: str) -> Iterator[tuple[str, ...]]:
    """What may stand for `name`, the best first."""
    bare, colon, architecture = name.partition(":")
    yield (name,)
    renamed = bare.removesuffix(RENAMED) if bare.endswith(RENAMED) else bare + RENAMED
    yield (f"{renamed}{colon}{architecture}",)
    if name in SUCCESSORS:
        yield SUCCESSORS[name]


def _offered(names: Sequence[str]) -> frozenset[str]:
    """Those of `names` that apt has a version of. A virtual package has none: one has to choose what provides it."""
    asked = subprocess.run(
        ("apt-cache", "policy", "--", *names),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_POLICY_TIMEOUT_S,
        check=False,
    )
    return frozenset(name for name, version in _POLICY.findall(asked.stdout) if version != "(none)")


def _environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    return clean_environment(environ, rights.UNATTENDED)


def _not_offered(plan: InstallPlan) -> BuildError:
    installed = f"{', '.join(plan.install)} was installed" if plan.install else "Nothing was installed"
    return BuildError(
        BuildCause.NO_SUCH_PACKAGE,
        f"No package source of this system offers {', '.join(plan.unknown)}. {installed}.",
        f"Newer releases may have renamed it: `apt-cache search {plan.unknown[0].rstrip('0123456789.')}` finds what "
        "resembles it. If the pack is not yours, show this to its author.",
    )


def is_here() -> bool:
    """Whether this system has apt."""
    return shutil.which("apt-get") is not None and STATUS_PATH.is_file()
