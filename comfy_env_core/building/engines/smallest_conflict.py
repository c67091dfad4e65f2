"""Which few of many requirements exclude each other, found by asking for parts of them.

The method is QuickXplain (Junker, AAAI 2004): about 2·k·log(n/k) questions for k culprits among n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class OutOfTime(Exception):
    """The questions took longer than anybody wants to wait."""


def smallest_conflict(items: Sequence[T], fits: Callable[[Sequence[T]], bool]) -> tuple[T, ...]:
    """Items that do not fit together although they would without any single one of them; () if all fit.

    `fits` must not begin to say yes when items are added. What it raises goes through.
    """
    if fits(items):
        return ()
    return tuple(_narrowed([], items, fits, has_grown=False))


def _narrowed(
    background: Sequence[T], items: Sequence[T], fits: Callable[[Sequence[T]], bool], *, has_grown: bool
) -> list[T]:
    """The smallest part of `items` that does not fit `background`, which grew since it was last known to fit."""
    if has_grown and not fits(background):
        return []
    if len(items) == 1:
        return list(items)
    middle = len(items) // 2
    left, right = items[:middle], items[middle:]
    of_right = _narrowed([*background, *left], right, fits, has_grown=bool(left))
    of_left = _narrowed([*background, *of_right], left, fits, has_grown=bool(of_right))
    return [*of_left, *of_right]
