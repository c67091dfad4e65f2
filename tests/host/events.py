"""Listen to ComfyUI's websocket from a test: collect its messages in the background, wait for the one that matters."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
from patience import PATIENCE_S


@dataclass(frozen=True)
class Event:
    """One message: ``type`` such as "progress" or "executed", and its ``data``; of a binary one only the size."""

    type: str
    data: dict[str, Any]


class EventStream:
    """The messages of one client, in order. Use as a context manager; it owns a thread and a connection."""

    def __init__(self, server_url: str, client_id: str | None = None) -> None:
        self.client_id = client_id or uuid.uuid4().hex
        self._url = f"{server_url}/ws?clientId={self.client_id}"
        self._received: list[Event] = []
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._connected = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="comfyui-events", daemon=True)

    def __enter__(self) -> EventStream:
        self._thread.start()
        if not self._connected.wait(PATIENCE_S) or self._error is not None:
            raise ConnectionError(f"Could not listen at {self._url}") from self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(PATIENCE_S)

    def received(self, kind: str | None = None) -> list[Event]:
        """What came so far, all or of one type."""
        with self._changed:
            return [event for event in self._received if kind in (None, event.type)]

    def wait_for(self, wanted: Callable[[Event], bool], timeout_s: float) -> Event:
        """The first event, past or to come, that is ``wanted``. Raises TimeoutError listing what came instead."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            seen = 0
            while True:
                for event in self._received[seen:]:
                    if wanted(event):
                        return event
                seen = len(self._received)
                if (
                    not self._changed.wait(max(0.0, deadline - time.monotonic()))
                    and time.monotonic() >= deadline
                ):
                    kinds = [event.type for event in self._received]
                    raise TimeoutError(f"No such event within {timeout_s:.0f} s; received: {kinds}")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._listen())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass  # the ordinary end: __exit__ cancels
        except aiohttp.ClientError as error:
            self._error = error
        finally:
            self._connected.set()
            self._loop.close()

    async def _listen(self) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self._url, max_msg_size=0) as socket,
        ):
            self._connected.set()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._keep(json.loads(message.data))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._keep({"type": "binary", "data": {"size_bytes": len(message.data)}})

    def _keep(self, payload: dict[str, Any]) -> None:
        with self._changed:
            self._received.append(Event(payload["type"], payload.get("data") or {}))
            self._changed.notify_all()
