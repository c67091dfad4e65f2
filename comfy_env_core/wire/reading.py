"""Who reads the connection: whoever waits for something to arrive on it.

A thread that did nothing but read would be woken for every frame and would have to wake the one it is for; each
wake-up costs about as much as the rest of a small call. So a waiting thread reads by itself, if no other does: it has
the *turn*. When nobody waits, a helper thread reads. It does not take the turn back at once, because in a run of calls
the next one comes within microseconds: it looks every TICK_S, and takes the turn if nobody had it since the last look.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

TICK_S = 0.01
# After so many looks at which the same thread still had the turn, the helper sleeps until that thread gives it up.
PATIENT_TICKS = 20


def nudge() -> None:
    """Put into a queue to make its reader look around. Callable, because some queues hold work."""


class Reading:
    """Shares the reader's place among the threads that use a connection.

    `read(timeout_s, is_urgent)` reads and handles one frame: True; None if nothing came in time; False when nothing
    will come any more. Urgent is what a thread waits for. `is_expected()` says whether something is expected at once
    that no thread waits for.
    """

    def __init__(
        self, name: str, read: Callable[[float | None, bool], bool | None], is_expected: Callable[[], bool]
    ) -> None:
        self._read = read
        self._is_expected = is_expected
        self._turn = threading.Lock()
        self._reader = 0  # the thread that has the turn
        self._waiting: list[queue.SimpleQueue[Any]] = []  # of the reading thread, too
        self._turns_ended = 0
        self._was_in_the_way = False  # the helper, of a thread that waits
        self._helper_sleeps = False
        self._is_over = False
        self._calls_for_helper: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._helper = threading.Thread(target=self._help, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._helper.start()

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self._helper.ident is not None

    def join(self, timeout_s: float | None) -> None:
        """Wait until nothing is read any more."""
        if self.is_started and threading.current_thread() is not self._helper:
            self._helper.join(timeout_s)

    def is_on_this_thread(self) -> bool:
        """Whether the calling thread is handling a frame; it must not wait for another."""
        return self._reader == threading.get_ident()

    def attend(self) -> None:
        """Something is expected now: the helper reads at once if nobody else does."""
        self._calls_for_helper.put(None)

    def take(self, inbox: queue.SimpleQueue[Any], timeout_s: float | None = None) -> Any:
        """The next item of a queue that handled frames put things into. Raises queue.Empty after `timeout_s`.

        Not for code that is called while a frame is handled: it would wait for itself, and gets a RuntimeError. The
        item may be `nudge`: then the caller looks whether it has what it waits for, and comes back if not.
        """
        try:
            return inbox.get_nowait()
        except queue.Empty:
            pass
        if self.is_on_this_thread():
            raise RuntimeError(
                "Code that is called while a message is handled must not wait for another message"
            )
        self._waiting.append(inbox)
        try:
            if self._is_over or not self._turn.acquire(blocking=False):
                self._was_in_the_way = True
                return inbox.get(timeout=timeout_s)
            try:
                return self._read_for(inbox, timeout_s)
            finally:
                self._reader = 0
                self._turns_ended += 1
                self._turn.release()
        finally:
            self._waiting.remove(inbox)
            self._hand_on()

    def _read_for(self, inbox: queue.SimpleQueue[Any], timeout_s: float | None) -> Any:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._reader = threading.get_ident()
        while True:
            left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            outcome = self._read(left_s, True)
            if outcome is False:
                self._end()
                return inbox.get(timeout=left_s)
            try:
                return inbox.get_nowait()
            except queue.Empty:
                if outcome is None:
                    raise

    def _hand_on(self) -> None:
        """If the turn is free, let a waiting thread have it, or the helper if something is expected."""
        if self._turn.locked():
            return
        if self._waiting:
            self._wake_a_waiting_thread()
        elif self._helper_sleeps or self._is_expected():
            self.attend()

    def _wake_a_waiting_thread(self) -> None:
        for inbox in self._waiting[:1]:
            inbox.put(nudge)

    def _end(self) -> None:
        self._is_over = True
        self.attend()
        for inbox in list(self._waiting):
            inbox.put(nudge)

    # -- the helper ----------------------------------------------------------------------------------------

    def _help(self) -> None:
        while not self._is_over:
            if self._turn.acquire(blocking=False):
                try:
                    self._read_for_nobody()
                finally:
                    self._reader = 0
                    self._turn.release()
                self._wake_a_waiting_thread()
            if not self._is_over:
                self._stand_aside()

    def _read_for_nobody(self) -> None:
        """Until a frame came while a thread waited: that thread reads the next ones itself."""
        self._was_in_the_way = False
        self._reader = threading.get_ident()
        while not self._was_in_the_way:
            if self._read(None, False) is False:
                self._end()
                return

    def _stand_aside(self) -> None:
        """Until nobody has had the turn for a tick, or something is expected."""
        ticks = 0
        while not self._is_over:
            ended = self._turns_ended
            if self._is_called(TICK_S) and self._is_expected() and not self._waiting:
                return
            if self._turns_ended != ended:
                ticks = 0
            elif not self._turn.locked():
                return
            else:
                ticks += 1
            if ticks >= PATIENT_TICKS:
                self._sleep(ended)
                ticks = 0

    def _sleep(self, ended: int) -> None:
        """Until the turn that is under way ends."""
        self._helper_sleeps = True
        if self._turns_ended == ended and self._turn.locked():
            self._calls_for_helper.get()
        self._helper_sleeps = False

    def _is_called(self, timeout_s: float) -> bool:
        try:
            self._calls_for_helper.get(timeout=timeout_s)
        except queue.Empty:
            return False
        return True
