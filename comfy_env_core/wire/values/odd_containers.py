"""Dicts and tuples that claim to hold more than they do.

Packs write them for ComfyUI's lookups: a dict of inputs that has an input of any name, RETURN_TYPES with an element at
every index. What they answer is found out in their own process by asking; these stand for them elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

PROBE = "\x00comfy-env probe"


class AcceptingDict(dict):  # type: ignore[type-arg]  # input declarations of any shape
    """A dict that claims to hold every key; missing ones have one default."""

    def __init__(self, items: Any, default: Any, has_default: bool) -> None:
        super().__init__(items)
        self._default = default
        self._has_default = has_default

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: object) -> Any:
        if not self._has_default:
            raise KeyError(key)
        return self._default


class AcceptingTuple(tuple):  # type: ignore[type-arg]  # noqa: SLOT001  # return types of any kind
    """A tuple whose elements are answered as its pack wants them to be.

    `answers`: what an index gives, where that is not the element; `beyond`: [what every later index gives] or [];
    `length`: what `len` says, None for the truth.
    """

    answers: Sequence[Any] = ()
    beyond: Sequence[Any] = ()
    length: Optional[int] = None

    def __getitem__(self, index: Any) -> Any:
        if type(index) is not int or index < 0:
            return super().__getitem__(index)
        if index < len(self.answers):
            return self.answers[index]
        return self.beyond[0] if self.beyond and index >= super().__len__() else super().__getitem__(index)

    def __len__(self) -> int:
        return super().__len__() if self.length is None else self.length


def beyond(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """`(element,)` that a tuple gives for an index it does not have, () if it has none, as any honest one."""
    try:
        return (value[tuple.__len__(value) + 5],)
    except Exception:  # noqa: BLE001  # the normal case, by whatever foreign method
        return ()


def answers(value: tuple[Any, ...]) -> list[Any]:
    """What each index gives, where one of them gives something else than the element; else nothing."""
    held = list(tuple.__iter__(value))
    try:
        given = [value[index] for index in range(len(held))]
    except Exception:  # noqa: BLE001  # foreign code
        return []
    return given if any(mine is not yours for mine, yours in zip(given, held)) else []


def claimed_length(value: tuple[Any, ...]) -> Optional[int]:
    """What `len` says where it is not the truth."""
    truth = tuple.__len__(value)
    try:
        said = len(value)
    except Exception:  # noqa: BLE001  # foreign code
        return None
    return None if said == truth else said


def default_for_any_key(value: Any) -> Optional[tuple[Any, ...]]:
    """`(value,)` that a mapping gives for a key it does not have, () if it only claims to have it, else None."""
    if type(value) is dict or PROBE not in value:
        return None
    try:
        return (value[PROBE],)
    except Exception:  # noqa: BLE001  # foreign code again
        return ()
