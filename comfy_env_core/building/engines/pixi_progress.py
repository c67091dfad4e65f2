"""How far pixi is. Without a terminal it draws no bars, so its log, its lock and the prefix are watched.

Source: the messages of pixi's own crates at the level "info", which `-v` asks for; checked against 0.50 to 0.77.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.site_packages import dist_infos

_SOLVED = re.compile(r"resolved conda environment for ")
_PREPARED = re.compile(r"Prepared (\d+) packages?")
_LISTED = re.compile(r"^- (conda|pypi): ", re.MULTILINE)
_INTERVAL_S = 0.5


class PixiProgress:
    """A `Report` for the time that pixi runs. `line` takes what it writes.

    `has_lock`: it was given a lock, and resolves nothing. `wants_pypi`: PyPI is resolved after conda.
    """

    def __init__(
        self, report: Report, directory: Path, prefix: Path, *, has_lock: bool, wants_pypi: bool
    ) -> None:
        self._report = report
        self._lock_path = directory / "pixi.lock"
        self._prefix = prefix
        self._wants_pypi = wants_pypi
        self._total = 0
        self._count = 0
        self._is_resolved = has_lock
        self._looked_at = 0.0
        self.phase, self.packages = report.phase, report.packages
        self.log, self.percent, self.pypi_turn = report.log, report.percent, report.pypi_turn
        if has_lock:
            self._begin_download()
        else:
            report.phase(Phase.RESOLVING, "conda packages")

    def line(self, text: str) -> None:
        """One line of pixi's output."""
        self._report.log(text)
        if _SOLVED.search(text) and self._wants_pypi:
            self._report.phase(Phase.RESOLVING, "PyPI packages")
        elif match := _PREPARED.search(text):
            self._report.phase(Phase.INSTALLING, f"{match[1]} PyPI packages")

    def check(self) -> None:
        self._report.check()
        now = time.monotonic()
        if now - self._looked_at < _INTERVAL_S:
            return
        self._looked_at = now
        if not self._is_resolved and self._lock_path.is_file():
            self._is_resolved = True
            self._begin_download()
        count = sum(1 for _ in self._prefix.glob("conda-meta/*.json"))
        count += sum(1 for path in dist_infos(self._prefix) if _is_of_pypi(path))
        if count != self._count:
            if self._count == 0:
                self._report.phase(Phase.INSTALLING, "conda packages")
            self._count = count
            self._report.packages(min(count, self._total) if self._total else count, self._total)

    def _begin_download(self) -> None:
        """pixi writes its lock when all is resolved, and fills the prefix after it has downloaded."""
        text = self._lock_path.read_text(encoding="utf-8")
        self._total = len(_LISTED.findall(text.partition("\npackages:")[2]))
        self._report.phase(Phase.DOWNLOADING, f"{self._total} packages")
        self._report.packages(0, self._total)


def _is_of_pypi(path: Path) -> bool:
    """pixi's uv signs its work; what conda brought says "conda" or nothing."""
    try:
        return (path / "INSTALLER").read_text(encoding="utf-8").strip().startswith("uv")
    except (OSError, UnicodeDecodeError):
        return False
