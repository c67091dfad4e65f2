"""What the operations work with, put together: the same for ComfyUI's server and for tests."""

from __future__ import annotations

import os
from collections.abc import Mapping

from comfy_env_core.api.backend import Backend, HostFacts
from comfy_env_core.api.clients import Clients
from comfy_env_core.api.events import EventFeed, Payloads
from comfy_env_core.api.work import Works
from comfy_env_core.manager import Manager


def open_backend(
    manager: Manager,
    clients: Clients,
    *,
    facts: HostFacts | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Backend:
    """From now on clients hear of what changes. Whoever asked closes `feed` at the end."""
    payloads = Payloads(
        site=lambda site_id: manager.sites[site_id].status().as_json(), worker=manager.workers.show
    )
    feed = EventFeed(
        lambda event, data: clients.send(event, data, None), payloads, is_behind=clients.is_behind
    )
    manager.add_listener(feed)
    return Backend(manager, feed, Works(feed.job_changed), facts or HostFacts(), environ, clients)
