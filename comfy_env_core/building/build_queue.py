"""The order in which builds start: the most urgent first, among equals whoever was asked for first."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Generic, Protocol, TypeVar


class Placed(Protocol):
    """What stands in a queue and is told where: 1 is the next to go, 0 is out of it."""

    def place(self, position: int, priority: int) -> None: ...


Item = TypeVar("Item", bound=Placed)


@dataclasses.dataclass
class _Entry(Generic[Item]):
    item: Item
    priority: int
    number: int


class BuildQueue(Generic[Item]):
    """Not thread-safe: its owner's lock guards it. Whoever stands in it hears of every change of his place."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._entries: list[_Entry[Item]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> tuple[Item, ...]:
        """The next to start first."""
        return tuple(entry.item for entry in self._entries)

    def add(self, item: Item, priority: int) -> None:
        self._entries.append(_Entry(item, priority, next(self._numbers)))
        self._tell()

    def hurry(self, item: Item, priority: int) -> None:
        """Raises the priority of an item that waits; never lowers it. Nothing happens to one that does not wait."""
        for entry in self._entries:
            if entry.item is item and entry.priority < priority:
                entry.priority = priority
                self._tell()
                return

    def pop(self) -> Item:
        """Takes the next one out. Raises IndexError when nobody waits."""
        entry = self._entries.pop(0)
        self._leave(entry)
        return entry.item

    def remove(self, item: Item) -> bool:
        """False when it does not wait, or waits no more."""
        for entry in self._entries:
            if entry.item is item:
                self._entries.remove(entry)
                self._leave(entry)
                return True
        return False

    def _leave(self, entry: _Entry[Item]) -> None:
        entry.item.place(0, entry.priority)
        self._tell()

    def _tell(self) -> None:
        self._entries.sort(key=lambda entry: (-entry.priority, entry.number))
        for position, entry in enumerate(self._entries, 1):
            entry.item.place(position, entry.priority)
