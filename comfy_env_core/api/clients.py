"""The pages, and other programs, that are connected to ComfyUI's websocket."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

#: Called with the event's name, its data (JSON), and whom it is for: None for all.
SendTo = Callable[[str, Mapping[str, Any], "str | None"], None]


@dataclasses.dataclass(frozen=True)
class Clients:
    """All three may be called from any thread and return at once. A client's id is the `clientId` of its websocket.

    - `is_behind`: whether much of what was sent still waits to be taken. ComfyUI sends everything in one row: one page
      that takes nothing, on a computer that sleeps for instance, holds up what comes after.
    """

    send: SendTo
    is_connected: Callable[[str], bool] = lambda client_id: True
    is_behind: Callable[[], bool] = lambda: False


#: For a server without a websocket.
NOBODY = Clients(lambda event, data, client_id: None, is_connected=lambda client_id: False)
