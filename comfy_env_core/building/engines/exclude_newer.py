"""`exclude-newer` of a file: pixi's dates and durations as one moment, the same for conda and PyPI packages."""

from __future__ import annotations

import datetime
import re

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.plan import BuildPlan

_UNITS = (  # as humantime reads them; the longest spelling that fits counts
    (("seconds", "second", "secs", "sec", "s"), 1),
    (("minutes", "minute", "mins", "min", "m"), 60),
    (("hours", "hour", "hrs", "hr", "h"), 3600),
    (("days", "day", "d"), 86400),
    (("weeks", "week", "w"), 7 * 86400),
    (("months", "month", "M"), int(30.44 * 86400)),
    (("years", "year", "y"), int(365.25 * 86400)),
)
_SECONDS = {name: seconds for names, seconds in _UNITS for name in names}


def newest_moment(plan: BuildPlan) -> datetime.datetime | None:
    """No package may be younger than this. Raises BuildError(CONFIG) for text that says no moment."""
    workspace = {**plan.passthrough.get("project", {}), **plan.passthrough.get("workspace", {})}
    text = plan.passthrough.get("exclude-newer")
    text = text if isinstance(text, str) else workspace.get("exclude-newer")
    if not isinstance(text, str):
        return None
    moment = cutoff(text.strip(), datetime.datetime.now(datetime.timezone.utc))
    if moment is None:
        raise BuildError(
            BuildCause.CONFIG,
            f"{str(plan.spec.path)!r} says exclude-newer = {text!r}, which is neither a date nor a duration.",
            'Write a date ("2026-04-01") or a duration ("2 weeks").',
        )
    return moment


def cutoff(text: str, now: datetime.datetime) -> datetime.datetime | None:
    """The moment in UTC; a date means its end, as in uv. None for text that is neither date nor duration."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            day = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
            return day + datetime.timedelta(days=1)
        if re.match(r"\d{4}-", text):
            moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
            return moment.astimezone(datetime.timezone.utc)
    except ValueError:
        return None
    parts = re.findall(r"(\d+)\s*([A-Za-z]+)", text)
    if not parts or any(unit not in _SECONDS for _, unit in parts):
        return None
    return now - datetime.timedelta(seconds=sum(int(count) * _SECONDS[unit] for count, unit in parts))
