"""One side of a busy conversation: calls of every kind from many threads, until the other side is gone."""

from __future__ import annotations

import gc
import os
import random
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy
from wire.corpus import Mesh

from comfy_env_core.wire import CallTimeout, Channel, Connection, DeadHandle, Handle, IncomingCall, PeerGone
from comfy_env_core.wire.segments import SegmentMemory

THREADS = 5
NESTED_LEVELS = 3
LARGE_BYTES = 1 << 20
PATIENCE_S = 10.0
# What a call under way may end with once the peer is gone: that, or the news that an object lived there.
EXPECTED = (PeerGone, DeadHandle)


class Resources:
    """What a process has at one moment, to be compared with what it had before."""

    def __init__(self) -> None:
        gc.collect()
        links = [_link(entry) for entry in os.listdir("/proc/self/fd")]
        self.descriptors = len(links)
        self.segments = sum("memfd:comfy-env" in link for link in links)
        self.mappings = sum("memfd:comfy-env" in line for line in _lines("/proc/self/maps"))
        self.threads = len(os.listdir("/proc/self/task"))

    def as_dict(self) -> dict[str, int]:
        """The figures by name."""
        return dict(vars(self))


class Traffic:
    """Speaks over a socket. Any call that does not end as it must is in `problems`."""

    def __init__(self, sock: socket.socket, seed: int) -> None:
        self.problems: list[str] = []
        self.calls = 0
        self._seed = seed
        self._memory = SegmentMemory()
        self._kept: list[Any] = [Mesh()]
        self._answering: list[threading.Thread] = []
        self._connection = Connection(
            Channel(sock),
            dispatcher=self._dispatch,
            performer=self._answer,
            name="the other side",
            memory=self._memory,
        )

    def run_until_lost(self) -> None:
        """Call and answer until the peer is gone."""
        self._connection.start()
        threads = [threading.Thread(target=self._keep_calling, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            # Only the peer's end ends them; whoever runs this process kills it if that does not come.
            thread.join()

    def hang_up(self) -> None:
        """End the conversation without a death."""
        self._connection.close()

    def leave_nothing(self) -> None:
        """Let go of everything; raises if a thread does not end."""
        deadline = time.monotonic() + PATIENCE_S
        for thread in self._answering:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._answering):
            raise AssertionError("A call of the other side is still being answered though that side is gone")
        self._connection.join(PATIENCE_S)
        if self._connection.is_open:
            raise AssertionError("The connection is open though the other side is gone")
        if len(self._connection.lent):
            raise AssertionError(
                f"{len(self._connection.lent)} objects are still lent to the side that is gone"
            )
        del self._answering, self._kept, self._connection
        gc.collect()
        self._memory.close()
        del self._memory

    # -- calling -------------------------------------------------------------------------------------------

    def _keep_calling(self, number: int) -> None:
        chance = random.Random(self._seed * THREADS + number)
        acts = [
            self._small,
            self._large_there,
            self._large_back,
            self._nested,
            self._objects,
            self._many_at_once,
        ]
        while True:
            try:
                acts[chance.randrange(len(acts))](chance)
                self.calls += 1
            except EXPECTED:
                if not self._connection.is_open:
                    return
                if self._is_over_soon():
                    return
                self.problems.append("A call failed as if the other side were gone, but it is not")
                return
            except CallTimeout as error:
                self.problems.append(f"A call hangs: {error}")
                return
            except Exception as error:  # noqa: BLE001  # whatever it is, it belongs into the report
                self.problems.append(f"A call ended with {type(error).__name__}: {error}")
                return

    def _is_over_soon(self) -> bool:
        """The first call to fail may be quicker than the connection's own view of itself."""
        deadline = time.monotonic() + PATIENCE_S
        while self._connection.is_open and time.monotonic() < deadline:
            time.sleep(0.001)
        return not self._connection.is_open

    def _ask(self, method: str, *args: Any) -> Any:
        return self._connection.call(method, args).result(PATIENCE_S)

    def _small(self, chance: random.Random) -> None:
        value = chance.random()
        if self._ask("echo", value, "x" * chance.randrange(chance.choice((2000, 400_000)))) is None:
            raise AssertionError("An answer without a value")

    def _large_there(self, chance: random.Random) -> None:
        self._ask("sum", numpy.ones(chance.randrange(LARGE_BYTES), numpy.uint8))

    def _large_back(self, chance: random.Random) -> None:
        array = numpy.full(chance.randrange(LARGE_BYTES), 7, numpy.uint8)
        back = self._ask("echo", array)
        if back[0].size and back[0][-1] != 7:
            raise AssertionError("An array came back damaged")
        if chance.random() < 0.3:
            self._kept.append(back)
        if len(self._kept) > 5:
            del self._kept[: chance.randrange(5)]

    def _nested(self, chance: random.Random) -> None:
        self._ask("nest", chance.randrange(NESTED_LEVELS))

    def _objects(self, chance: random.Random) -> None:
        lent = self._ask("lend", chance.randrange(4))
        if lent and chance.random() < 0.5:
            self._ask("echo", lent[0], Mesh())
        if lent and isinstance(lent[0], Handle) and chance.random() < 0.3:
            self._kept.append(lent)

    def _many_at_once(self, chance: random.Random) -> None:
        calls = [self._connection.call("echo", [number, bytes(3000)]) for number in range(20)]
        if chance.random() < 0.3:
            calls[0].cancel()
        for call in calls:
            call.result(PATIENCE_S)

    # -- answering -----------------------------------------------------------------------------------------

    def _dispatch(self, call: IncomingCall) -> None:
        if call.method == "echo":
            self._answer(call)
            return
        thread = threading.Thread(target=self._connection.perform, args=(call,))
        self._answering = [other for other in self._answering if other.is_alive()] + [thread]
        thread.start()

    def _answer(self, call: IncomingCall) -> None:
        try:
            if self._connection.is_own(call):
                call.reply(self._connection.answer(call))
            else:
                call.reply(self._result(call.method, call.args()))
        except Exception as error:  # noqa: BLE001  # the caller is told, whatever it is
            call.fail(error)

    def _result(self, method: str, args: list[Any]) -> Any:
        if method == "sum":
            return int(args[0].sum())
        if method == "lend":
            return [Mesh() for _ in range(args[0])]
        if method == "nest":
            return args[0] and self._ask("nest", args[0] - 1)
        return args


def _link(entry: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{entry}")
    except FileNotFoundError:  # the listing's own descriptor
        return ""


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
