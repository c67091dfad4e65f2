"""What stays where it was made and is lent to the peer: objects and segments.

The owner lends something (`LentObjects`) and sends its key; the other side holds a `Borrowed` for it. Sent home, it is
the thing itself again. When the `Borrowed` is garbage collected, the key is given back; when the connection ends,
everything is.
"""

from __future__ import annotations

import itertools
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from comfy_env_core.wire.errors import DeadHandle, DecodeError
from comfy_env_core.wire.objects.specials import HandleClasses


class Released(NamedTuple):
    """A key given back as often as it was received. `is_spoiled`: another process may still read the segment's
    bytes."""

    key: int
    times: int
    is_spoiled: bool


class SharedBytes:
    """Lent, like an object, but what is shared are bytes."""

    __slots__ = ()

    def spoil(self) -> None:
        """A process we do not hear of may go on reading them: their memory must never hold others."""
        raise NotImplementedError


class LentObjects:
    """What this side has lent to its peer: key -> object, with how often it was sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = itertools.count(1)
        self._objects: dict[int, list[Any]] = {}  # key -> [object, times sent]
        self._by_identity: dict[int, int] = {}

    def lend(self, value: object) -> int:
        """The key of an object about to be sent; it is kept alive until given back as often as it was lent."""
        with self._lock:
            key = self._by_identity.get(id(value))
            if key is None:
                key = next(self._keys)
                self._objects[key] = [value, 0]
                self._by_identity[id(value)] = key
            self._objects[key][1] += 1
            return key

    def look_up(self, key: int) -> Any:
        """The object that came home. Raises DecodeError if the peer had given it back before."""
        with self._lock:
            entry = self._objects.get(key)
        if entry is None:
            raise DecodeError(f"Object {key!r} was released before it came home")
        return entry[0]

    def take_back(self, releases: Iterable[Sequence[Any]]) -> None:
        """Forget objects by `Released`. What they free is freed outside the lock. Raises DecodeError if it is none."""
        freed = []
        try:
            with self._lock:
                for key, times, is_spoiled in releases:
                    entry = self._objects.get(key)
                    if entry is None:
                        continue
                    if is_spoiled and isinstance(entry[0], SharedBytes):
                        entry[0].spoil()
                    entry[1] -= max(int(times), 1)
                    if entry[1] <= 0:
                        del self._objects[key]
                        del self._by_identity[id(entry[0])]
                        freed.append(entry)
        except (TypeError, ValueError, AttributeError) as error:
            raise DecodeError(f"Not a list of released keys: {error}") from error

    def clear(self) -> None:
        """Forget everything: the peer is gone."""
        with self._lock:
            freed = list(self._objects.values())
            self._objects.clear()
            self._by_identity.clear()
        del freed

    def __len__(self) -> int:
        return len(self._objects)


class Borrowed:
    """Something of the peer, as long as it is needed here. Its own names begin with an underscore: a handle has all
    others from the object it stands for."""

    __slots__ = ("__weakref__", "_borrowed", "_is_spoiled", "_key", "_times")

    def __init__(self, borrowed: BorrowedObjects, key: int) -> None:
        self._borrowed = borrowed
        self._times = 0
        self._is_spoiled = False
        self._key = key

    def __del__(self) -> None:
        # Runs in any thread at any moment, so it only leaves a note.
        self._borrowed.note_dropped(Released(self._key, self._times, self._is_spoiled))


class BorrowedObjects:
    """What this side holds of one peer, named `owner` for messages.

    `dropped` collects what was let go of until `take_dropped`; `notes` gets True for the first of it after each
    `notice_again`, and False when the peer is gone. `on_first` is called when the first thing arrives. `use(handle,
    operation, *arguments)` performs an operation of operations.py at the owner, `fetch(handle)` has the owner pack the
    object; whoever has the connection sets both.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.dropped: deque[Released] = deque()
        self.notes: queue.SimpleQueue[bool] = queue.SimpleQueue()  # safe to put from a finaliser
        self.on_first: Callable[[], None] | None = None
        self.handle_classes = HandleClasses()
        self.use: Callable[..., Any] = _no_connection
        self.fetch: Callable[[Any], Any] = _no_connection
        self.end: str | None = None
        self._is_noticed = False
        self._lock = threading.Lock()
        self._borrowed: weakref.WeakValueDictionary[int, Borrowed] = weakref.WeakValueDictionary()

    def borrow(self, key: int, make: Callable[[], Borrowed]) -> Borrowed:
        """What stands for a received key: the same thing as long as it is alive, else what `make` makes."""
        on_first, self.on_first = self.on_first, None
        if on_first is not None:
            on_first()
        with self._lock:
            borrowed = self._borrowed.get(key)
            if borrowed is None:
                borrowed = self._borrowed[key] = make()
            borrowed._times += 1
            return borrowed

    def owns(self, borrowed: Borrowed) -> bool:
        """Whether it is of this peer; sent there, it goes home. Raises DeadHandle if its owner is gone."""
        if borrowed._borrowed.end is not None:
            kind = getattr(type(borrowed), "__name__", "object")
            raise DeadHandle(
                f"The {kind} lived in {borrowed._borrowed.owner}, which has ended ({borrowed._borrowed.end}). "
                "Run the node that made it again."
            )
        return borrowed._borrowed is self

    def note_dropped(self, released: Released) -> None:
        """Something was collected here (called by finalisers)."""
        if self.end is None and released.times:
            self.dropped.append(released)
            if not self._is_noticed:
                self._is_noticed = True
                self.notes.put(True)

    def notice_again(self) -> None:
        """What is dropped from now on is worth another note."""
        self._is_noticed = False

    def take_dropped(self) -> list[Released]:
        """What was dropped since the last time; the caller tells the owner."""
        taken = []
        while self.dropped:
            taken.append(self.dropped.popleft())
        return taken

    def count(self, kind: type) -> int:
        """How many things of one kind are held here now. A handle's own class is asked, not the one it stands for."""
        with self._lock:
            return sum(issubclass(type(borrowed), kind) for borrowed in list(self._borrowed.values()))

    def close(self, reason: str) -> None:
        """The peer is gone: every handle is dead from now on."""
        self.end = reason
        self.notes.put(False)


def _no_connection(*arguments: Any) -> Any:
    raise DeadHandle("An object of another process was used before there was a connection to it")
