"""What apt-get says while it works, and why it failed."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import psutil

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.prerequisites.system.file_locks import lock_holder

# doc/progress-reporting.md of apt: kind, package or number, percent, text; colons in a name's architecture aside.
_STATUS = re.compile(r"(dlstatus|pmstatus|pmerror|pmconffile|pmrecover|media-change):(.*?):([\d.]+):(.*)")


class StatusLines:
    """Sends lines for people to the report's log, and apt's progress to its phase."""

    def __init__(self, report: Report, phase: Phase) -> None:
        self._report = report
        self._phase = phase
        self._shown = ""
        self._failed: dict[str, None] = {}

    @property
    def failed_packages(self) -> tuple[str, ...]:
        """The packages that dpkg could not install, in the order of their failures."""
        return tuple(self._failed)

    def take(self, line: str) -> None:
        match = _STATUS.fullmatch(line)
        if match is None:
            self._report.log(line)
            return
        kind, about, percent, text = match.groups()
        if kind == "pmerror":
            self._failed[Path(about).name.partition("_")[0].partition(":")[0]] = None
            self._report.log(f"{about}: {text}")
        elif kind in ("dlstatus", "pmstatus"):
            if text != self._shown:
                self._shown = text
                self._report.phase(self._phase, text)
            self._report.percent(float(percent))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A command that failed, and the facts found afterwards. `lock_paths`: the files that apt locks while it works."""

    command: Completed
    phase: Phase
    failed_packages: tuple[str, ...]
    lock_paths: tuple[Path, ...]


def explain(outcome: Outcome) -> BuildError:
    """apt-get ends with 100 whatever went wrong; the locks, dpkg's own report and the step tell more."""
    attempted = f"{' '.join(outcome.command.argv)!r} ended with {outcome.command.returncode}"
    tail = outcome.command.tail()
    for path in outcome.lock_paths:
        if (holder := lock_holder(path)) is not None:
            return BuildError(
                BuildCause.TIMED_OUT,
                f"{attempted}: {_named(holder)} holds the lock {str(path)!r}.",
                "It installs or upgrades packages now. Wait until it has finished, then try again.",
                tail=tail,
            )
    if outcome.failed_packages:
        listed = ", ".join(outcome.failed_packages)
        return BuildError(
            BuildCause.OTHER_TOOL,
            f"{attempted}: dpkg could not install {listed}.",
            "The lines above say why. `dpkg --configure -a` tries again what was left unfinished.",
            tail=tail,
        )
    if outcome.phase is Phase.INSTALLING:
        remedy = "The lines above say why; `apt-get check` looks for packages that do not fit together."
        return BuildError(BuildCause.CONFLICT, f"{attempted}.", remedy, tail=tail)
    return BuildError(
        BuildCause.NETWORK,
        f"{attempted} before anything was installed.",
        "The lines above say why: most often a package source cannot be reached, or has moved on since the last "
        "`apt-get update`.",
        tail=tail,
    )


def _named(pid: int) -> str:
    try:
        return f"process {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"process {pid}"
