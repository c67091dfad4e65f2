"""The growth of a call with the size of its tensor, drawn as one SVG that reads on light and on dark pages."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.measuring import Figures
from benchmarks.report import size_text

WIDTH, HEIGHT = 1000, 470
TOP, BOTTOM = 118, 408
PANEL_WIDTH = 400
LEFTS = (72, 568)
CACHES_BYTES = 64 << 20

STYLE = """
svg { --surface: #ffffff; --ink: #1f2328; --quiet: #59636e; --grid: #e4e8ec;
      --fresh: #1f6fd6; --same: #0f8a5f; --out: #d2600c; --echo: #8250df; --floor: #848d97; }
@media (prefers-color-scheme: dark) {
  svg { --surface: #15191f; --ink: #e6edf3; --quiet: #a3adb8; --grid: #2c333b;
        --fresh: #6cabff; --same: #46c38c; --out: #ff9d57; --echo: #bd95ff; --floor: #8b949e; } }
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; }
.tick { font-size: 12px; fill: var(--quiet); }
.grid { stroke: var(--grid); stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.floor { stroke-dasharray: 5 4; stroke-width: 1.6; }
.mark { stroke: var(--surface); stroke-width: 1.2; }
"""


@dataclass(frozen=True)
class Series:
    """`key` names the seconds in a growth entry, `colour` a variable of the style; the machine's own are dashed."""

    key: str
    title: str
    colour: str
    is_floor: bool = False
    has_speed: bool = True


SERIES = (
    Series("sum_s", "sum in-process", "floor", is_floor=True),
    Series("memcpy_s", "copy in-process", "ink", is_floor=True),
    Series("in_same_s", "the same tensor again, summed", "same"),
    Series("in_fresh_s", "a fresh tensor in, summed", "fresh"),
    Series("out_s", "a tensor out", "out"),
    Series("echo_s", "there and back (time only)", "echo", has_speed=False),
)


@dataclass(frozen=True)
class Axis:
    """Values on a line of pixels; `ticks` are the values that get a label, in `text`'s words."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    text: Callable[[float], str]
    is_log: bool = True

    def place(self, value: float) -> float:
        """Where a value is, in pixels; what lies outside is outside of the panel too."""
        scale: Callable[[float], float] = math.log10 if self.is_log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.start + share * (self.end - self.start)


def draw(growth: Sequence[Figures]) -> str:
    """The whole picture: time of a call on the left, bytes in a second on the right."""
    sizes = [one["bytes"] for one in growth]
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
    parts = [
        opening + 'aria-label="Time and throughput of a call by the size of its tensor">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" style="fill:var(--surface)"/>',
        *legend(),
    ]
    durations = [one[series.key] for one in growth for series in SERIES]
    fast = [series for series in SERIES if series.has_speed]
    # What the machine does within its caches is several times as fast, and would flatten all the rest.
    shown = [(one, series) for one in growth for series in fast if beyond_caches(one, series)]
    speeds = [one["bytes"] / one[series.key] / 1e9 for one, series in shown]
    panels: tuple[tuple[str, Axis, Sequence[Series], Callable[[float, float], float]], ...] = (
        ("Time of one call", time_axis(durations), SERIES, lambda size, duration: duration),
        ("Throughput, GB/s", speed_axis(speeds), fast, lambda size, duration: size / duration / 1e9),
    )
    for left, (title, vertical, drawn, value) in zip(LEFTS, panels, strict=True):
        horizontal = size_axis(sizes, left)
        parts += frame(title, left, horizontal, vertical)
        parts.append(f'<clipPath id="panel{left}">{area(left)}</clipPath><g clip-path="url(#panel{left})">')
        for series in drawn:
            points = [
                (horizontal.place(one["bytes"]), vertical.place(value(one["bytes"], one[series.key])))
                for one in growth
            ]
            parts += curve(series, points)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def beyond_caches(one: Figures, series: Series) -> bool:
    return not series.is_floor or one["bytes"] >= CACHES_BYTES


def area(left: float) -> str:
    """A panel with room for the marks on its edges."""
    return f'<rect x="{left - 6}" y="{TOP - 6}" width="{PANEL_WIDTH + 12}" height="{BOTTOM - TOP + 12}"/>'


def legend() -> list[str]:
    """Two rows of three, over both panels."""
    parts = []
    for index, series in enumerate(SERIES):
        x, y = LEFTS[0] + 290 * (index % 3), 34 + 24 * (index // 3)
        parts += curve(series, [(x, y), (x + 15, y), (x + 30, y)], marked=(1,))
        parts.append(text(x + 40, y + 4, series.title))
    return parts


def frame(title: str, left: float, horizontal: Axis, vertical: Axis) -> list[str]:
    """Title, grid and labels of one panel."""
    right = left + PANEL_WIDTH
    parts = [text(left, TOP - 16, title, "title")]
    for tick in vertical.ticks:
        y = vertical.place(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(left - 9, y + 4, vertical.text(tick), "tick", "end"))
    parts += [
        text(horizontal.place(tick), BOTTOM + 22, horizontal.text(tick), "tick", "middle")
        for tick in horizontal.ticks
    ]
    parts.append(text((left + right) / 2, BOTTOM + 46, "size of the tensor", "tick", "middle"))
    return parts


def curve(
    series: Series, points: Sequence[tuple[float, float]], marked: Sequence[int] | None = None
) -> list[str]:
    """A line through the points; ours have a dot at each (or at those `marked`)."""
    colour = f"var(--{series.colour})"
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    kind = "line floor" if series.is_floor else "line"
    parts = [f'<polyline class="{kind}" points="{path}" style="stroke:{colour}"/>']
    if not series.is_floor:
        for index in range(len(points)) if marked is None else marked:
            x, y = points[index]
            parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4" style="fill:{colour}"/>')
    return parts


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def size_axis(sizes: Sequence[float], left: float) -> Axis:
    """Every other size is labelled."""
    return Axis(min(sizes), max(sizes), left, left + PANEL_WIDTH, tuple(sizes[::2]), size_text)


def time_axis(durations: Sequence[float]) -> Axis:
    """Whole powers of ten around all durations."""
    low, high = math.floor(math.log10(min(durations))), math.ceil(math.log10(max(durations)))
    ticks = tuple(10.0**power for power in range(low, high + 1))
    return Axis(ticks[0], ticks[-1], BOTTOM, TOP, ticks, duration_text)


def speed_axis(speeds: Sequence[float]) -> Axis:
    """From nothing to the next ten above the fastest."""
    high = 10 * math.ceil(max(speeds) / 10)
    step = 10 if high > 50 else 5
    ticks = tuple(float(value) for value in range(0, high + 1, step))
    return Axis(0, high, BOTTOM, TOP, ticks, lambda value: f"{value:g}", is_log=False)


def duration_text(duration_s: float) -> str:
    """1 µs, 10 ms, 1 s."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if duration_s >= factor * 0.999:
            return f"{duration_s / factor:.0f} {unit}"
    return f"{duration_s * 1e6:.1g} µs"
