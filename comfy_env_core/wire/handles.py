"""Objects that stay in the process that made them.

The owner lends an object (`LentObjects`) and sends its key; the other side holds a `Handle`. The handle is
the same object again when it comes home. When it is garbage collected, the key is given back.
"""

from __future__ import annotations

import itertools
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from comfy_env_core.wire.errors import DeadHandle, DecodeError, ForeignHandle

TEXT_LIMIT = 120


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
            raise DecodeError(f"Object {key} was released before it came home")
        return entry[0]

    def give_back(self, releases: Iterable[tuple[int, int]]) -> None:
        """Forget objects by (key, times). What they free is freed outside the lock."""
        freed = []
        with self._lock:
            for key, times in releases:
                entry = self._objects.get(key)
                if entry is None:
                    continue
                entry[1] -= times
                if entry[1] <= 0:
                    del self._objects[key]
                    del self._by_identity[id(entry[0])]
                    freed.append(entry)

    def clear(self) -> None:
        """Forget everything: the peer is gone."""
        with self._lock:
            freed = list(self._objects.values())
            self._objects.clear()
            self._by_identity.clear()
        del freed

    def __len__(self) -> int:
        return len(self._objects)


class Handle:
    """An object that lives in another process. Pass it on, keep it, drop it.

    Copying gives the same handle, as the object itself cannot be copied from here.
    """

    __slots__ = ("__weakref__", "_borrowed", "_times", "key", "owner", "text", "type_name")

    def __init__(self, borrowed: BorrowedObjects, key: int, type_name: str, text: str) -> None:
        self._borrowed = borrowed
        self._times = 0
        self.owner = borrowed.owner
        self.key = key
        self.type_name = type_name
        self.text = text

    def __repr__(self) -> str:
        return f"<{self.type_name} in {self.owner}: {self.text}>"

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: object) -> Handle:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"A {self.type_name} that lives in {self.owner} cannot be pickled in another process")

    def __del__(self) -> None:
        # Runs in any thread at any moment, so it only leaves a note.
        if self._borrowed.end is None:
            self._borrowed.dropped.append((self.key, self._times))
            self._borrowed.notes.put(True)


class BorrowedObjects:
    """Handles this side holds of objects of one peer, named `owner` for messages.

    `dropped` collects (key, times) of collected handles until `take_dropped`; `notes` gets True for each, and
    False when the peer is gone. `on_first` is called when the first handle arrives.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.dropped: deque[tuple[int, int]] = deque()
        self.notes: queue.SimpleQueue[bool] = queue.SimpleQueue()  # safe to put from a finaliser
        self.on_first: Callable[[], None] | None = None
        self.end: str | None = None
        self._lock = threading.Lock()
        self._handles: weakref.WeakValueDictionary[int, Handle] = weakref.WeakValueDictionary()

    def borrow(self, key: int, type_name: str, text: str) -> Handle:
        """The handle of a received key: the same one as long as it is alive."""
        on_first, self.on_first = self.on_first, None
        if on_first is not None:
            on_first()
        with self._lock:
            handle = self._handles.get(key)
            if handle is None:
                handle = self._handles[key] = Handle(self, key, type_name, text)
            handle._times += 1
            return handle

    def key_for_home(self, handle: Handle) -> int:
        """The key to send home. Raises DeadHandle or ForeignHandle if that is not this peer."""
        if handle._borrowed.end is not None:
            raise DeadHandle(
                f"The {handle.type_name} lived in {handle.owner}, which has ended ({handle._borrowed.end}). "
                "Run the node that made it again."
            )
        if handle._borrowed is not self:
            raise ForeignHandle(
                f"A {handle.type_name} that lives in {handle.owner} cannot be used in {self.owner}: "
                "objects other than plain data, arrays and paths stay in the process that made them."
            )
        return handle.key

    def take_dropped(self) -> list[tuple[int, int]]:
        """What was dropped since the last time; the caller tells the owner."""
        taken = []
        while self.dropped:
            taken.append(self.dropped.popleft())
        return taken

    def close(self, reason: str) -> None:
        """The peer is gone: every handle is dead from now on."""
        self.end = reason
        self.notes.put(False)


def describe_object(value: object) -> tuple[str, str]:
    """(type name, short text) of an object for messages. A failing repr is told, not raised."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # repr is foreign code
        text = f"<repr failed: {type(error).__name__}>"
    return name, text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 3] + "..."
