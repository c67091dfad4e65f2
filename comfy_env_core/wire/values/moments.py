"""Dates, times and time zones as payloads, and back.

A zone inside a payload is None, `[offset, name]` or `[offset, name, key]`: offset from UTC in microseconds (nil
for a time of a zone with a key), name as the zone gives it, key of the IANA database. Where the receiver's
database lacks the key the offset stands in, so the moment stays the same.
"""

from __future__ import annotations

import datetime
from typing import Any

from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.payloads import as_integer, as_integers, as_list, as_text

MICROSECOND = datetime.timedelta(microseconds=1)


def reduce_datetime(value: datetime.datetime) -> list[Any] | None:
    """[year, month, day, hour, minute, second, microsecond, fold, zone]."""
    day = [value.year, value.month, value.day]
    clock = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return _with_zone(day + clock, value)


def build_datetime(payload: Any) -> datetime.datetime:
    """From what `reduce_datetime` gave."""
    *numbers, zone = as_list(payload, 9)
    *numbers, fold = as_integers(numbers)
    year, month, day, hour, minute, second, microsecond = numbers
    return datetime.datetime(
        year, month, day, hour, minute, second, microsecond, tzinfo=_build_zone(zone), fold=fold
    )


def reduce_time(value: datetime.time) -> list[Any] | None:
    """[hour, minute, second, microsecond, fold, zone]."""
    return _with_zone([value.hour, value.minute, value.second, value.microsecond, value.fold], value)


def build_time(payload: Any) -> datetime.time:
    """From what `reduce_time` gave."""
    *numbers, zone = as_list(payload, 6)
    hour, minute, second, microsecond, fold = as_integers(numbers)
    return datetime.time(hour, minute, second, microsecond, tzinfo=_build_zone(zone), fold=fold)


def reduce_date(value: datetime.date) -> list[int]:
    """[year, month, day]."""
    return [value.year, value.month, value.day]


def build_date(payload: Any) -> datetime.date:
    """From [year, month, day]."""
    return datetime.date(*as_integers(payload, 3))


def reduce_timedelta(value: datetime.timedelta) -> list[int]:
    """[days, seconds, microseconds]."""
    return [value.days, value.seconds, value.microseconds]


def build_timedelta(payload: Any) -> datetime.timedelta:
    """From [days, seconds, microseconds]."""
    return datetime.timedelta(*as_integers(payload, 3))


def reduce_timezone(value: datetime.timezone) -> list[Any]:
    """[offset, name or None]."""
    given = value.__getinitargs__()  # type: ignore[attr-defined]  # the name only if it was given
    return [given[0] // MICROSECOND, given[1] if len(given) > 1 else None]


def build_timezone(payload: Any) -> datetime.timezone:
    """From [offset, name or None]."""
    offset, name = as_list(payload, 2)
    distance = as_integer(offset) * MICROSECOND
    return datetime.timezone(distance) if name is None else datetime.timezone(distance, as_text(name))


def reduce_zone_info(value: Any) -> str | None:
    """The key of a zoneinfo.ZoneInfo, None if it has none."""
    key = value.key
    return key if type(key) is str else None


def build_zone_info(payload: Any) -> Any:
    """A zoneinfo.ZoneInfo. Raises ValueError if this system's time zone database lacks it."""
    zone = _find_zone(as_text(payload))
    if zone is None:
        raise ValueError(
            f"the time zone {payload!r} is not in this environment's time zone database; add tzdata to it"
        )
    return zone


def _with_zone(numbers: list[Any], value: datetime.datetime | datetime.time) -> list[Any] | None:
    zone = value.tzinfo
    if zone is None:
        return [*numbers, None]
    if type(zone) is datetime.timezone:
        return [*numbers, reduce_timezone(zone)]
    offset = value.utcoffset()
    distance = None if offset is None else offset // MICROSECOND
    key = reduce_zone_info(zone) if type(zone).__module__ == "zoneinfo" else None
    if key is not None:
        return [*numbers, [distance, value.tzname(), key]]
    # A zone of some other library: the moment is kept, its rules for other moments are not.
    return None if distance is None else [*numbers, [distance, value.tzname()]]


def _build_zone(payload: Any) -> datetime.tzinfo | None:
    if payload is None:
        return None
    if len(as_list(payload)) == 2:
        return build_timezone(payload)
    offset, name, key = as_list(payload, 3)
    zone: datetime.tzinfo | None = _find_zone(as_text(key))
    if zone is None and offset is None:
        raise ValueError(f"the time zone {key!r} is not in this environment's time zone database")
    return zone if zone is not None else build_timezone([offset, name])


def _find_zone(key: str) -> Any:
    zoneinfo = libraries.obtain("zoneinfo")
    if zoneinfo is None:
        return None
    try:
        return zoneinfo.ZoneInfo(key)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # unknown, malformed, a directory
        return None
