"""Builds as a person sees them in a terminal: a bar for each, or plain lines where lines cannot be rewritten."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import TextIO

from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.cli import terminal
from comfy_env_core.cli.bars import Bars
from comfy_env_core.environments.states import EnvironmentState, SiteState
from comfy_env_core.manager import Manager, ManagerListener
from comfy_env_core.narration import Narrator
from comfy_env_core.sites.status import SiteStatus

log = logging.getLogger("comfy-env")

_REDRAW_S = 0.5
#: A tool that has said nothing for so long is told to be silent, so that nobody takes it for one that works.
_SILENT_S = 15.0
#: More bars than this are told as a number: the terminal may have no more lines.
_MOST_BARS = 8
_BAR_COLUMNS = 16
#: Below this width of the terminal there is no bar, only the percentage.
_NARROW = 60


@contextlib.contextmanager
def shown(manager: Manager, site_ids: Collection[str], stream: TextIO) -> Iterator[None]:
    """Tells on `stream` what the manager builds until the end of the block; log lines to that stream stay whole.

    Of sites, only those in `site_ids`: nobody asked how the others stand.
    """
    narrator = Narrator(log, manager.names_of)
    if not terminal.is_interactive(stream):
        manager.add_listener(OnlyOf(site_ids, narrator))
        yield
        return
    bars = Bars(stream)
    display = BuildBars(bars, narrator, manager.names_of, Style.of(stream))
    manager.add_listener(OnlyOf(site_ids, display))
    with _log_lines_above(bars, stream), display.redrawn():
        yield


@dataclasses.dataclass(frozen=True)
class OnlyOf:
    """A listener that is told of all builds and of some sites."""

    site_ids: Collection[str]
    listener: ManagerListener

    def on_job(self, job: JobSnapshot) -> None:
        self.listener.on_job(job)

    def on_site(self, site: SiteStatus) -> None:
        if site.id in self.site_ids:
            self.listener.on_site(site)

    def on_worker(self, site_id: str) -> None:
        if site_id in self.site_ids:
            self.listener.on_worker(site_id)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line. `percent` is None as long as nobody knows how far it is."""

    name: str
    text: str
    percent: float | None
    elapsed_s: float


@dataclasses.dataclass(frozen=True)
class Style:
    """How lines are drawn: `columns` asks the terminal anew each time, since its user may widen it."""

    columns: Callable[[], int]
    full: str
    empty: str
    ellipsis: str

    @classmethod
    def of(cls, stream: TextIO) -> Style:
        fancy = terminal.can_show(stream, "█░…")
        full, empty, ellipsis = "█░…" if fancy else ("#", "-", "...")
        return cls(lambda: terminal.columns(stream), full, empty, ellipsis)

    def line(self, row: Row, name_columns: int) -> str:
        """`name  text  ████░░░░  62%   1:23`, one column short of the terminal's width."""
        room = self.columns() - 1
        right = f"{_clock(row.elapsed_s):>5}"
        if row.percent is not None:
            right = f"{row.percent:3.0f}%  {right}"
            if room >= _NARROW:
                right = f"{self.bar(row.percent)} {right}"
        left = max(room - terminal.width(right) - 2, 0)
        name_columns = min(name_columns, room // 3, left)
        name = terminal.pad(terminal.fit(row.name, name_columns, self.ellipsis), name_columns)
        text = terminal.fit(row.text, max(0, left - name_columns - 2), self.ellipsis)
        return terminal.pad(f"{name}  {text}" if text else name, left) + f"  {right}"

    def bar(self, percent: float) -> str:
        full = round(_BAR_COLUMNS * min(max(percent, 0.0), 100.0) / 100)
        return self.full * full + self.empty * (_BAR_COLUMNS - full)


class BuildBars:
    """Listens to a manager. Sites that became ready or failed are told by the narrator, in log lines."""

    def __init__(
        self,
        bars: Bars,
        narrator: Narrator,
        names: Callable[[str], str],
        style: Style,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bars = bars
        self._narrator = narrator
        self._names = names
        self._style = style
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, tuple[JobSnapshot, float]] = {}
        self._queued: set[str] = set()
        self._describing: dict[str, float] = {}

    def on_job(self, job: JobSnapshot) -> None:
        with self._lock:
            self._queued.discard(job.id)
            if job.state is EnvironmentState.QUEUED:
                self._queued.add(job.id)
            elif job.has_ended:
                self._running.pop(job.id, None)
            else:
                self._running[job.id] = (job, self._clock() - job.elapsed_s)
        self.redraw()

    def on_worker(self, site_id: str) -> None:
        pass

    def on_site(self, site: SiteStatus) -> None:
        with self._lock:
            if site.state is SiteState.DESCRIBING:
                self._describing.setdefault(site.id, self._clock())
            else:
                self._describing.pop(site.id, None)
        self._narrator.on_site(site)
        self.redraw()

    def redraw(self) -> None:
        with self._lock:
            rows = [*self._builds(), *self._descriptions()]
            waiting = len(self._queued) + len(rows[_MOST_BARS:])
        widest = max((terminal.width(row.name) for row in rows[:_MOST_BARS]), default=0)
        lines = [self._style.line(row, widest) for row in rows[:_MOST_BARS]]
        if waiting:
            lines.append(terminal.fit(f"{waiting} more to come", self._style.columns() - 1))
        self._bars.show(lines)

    @contextlib.contextmanager
    def redrawn(self) -> Iterator[None]:
        """Keeps the times up to date for as long as the block runs, and leaves no bars behind."""
        ended = threading.Event()

        def keep_redrawing() -> None:
            while not ended.wait(_REDRAW_S):
                self.redraw()

        thread = threading.Thread(target=keep_redrawing, name="comfy-env-bars", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with self._lock:
                self._running, self._queued, self._describing = {}, set(), {}
            self.redraw()

    def _builds(self) -> Iterator[Row]:
        for job, began in self._running.values():
            phase = job.phase.value if job.phase is not None else job.state.value
            text = f"{phase}: {job.text}" if job.text else phase
            if job.quiet_s >= _SILENT_S:
                text = f"silent for {job.quiet_s:.0f} s, {text}"
            yield Row(self._names(job.environment_id), text, job.percent, self._clock() - began)

    def _descriptions(self) -> Iterator[Row]:
        for site_id, began in self._describing.items():
            yield Row(site_id, "importing its nodes", None, self._clock() - began)


@contextlib.contextmanager
def _log_lines_above(bars: Bars, stream: TextIO) -> Iterator[None]:
    """A log line written straight to the terminal would end up in the middle of a bar."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    ]
    for handler in handlers:
        handler.setStream(bars)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(stream)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
