"""Whether what a site's nodes were made from is still on disk as it was.

ComfyUI's own rule is that changed code needs a restart, and so it is here: a worker goes on with the code that it has
loaded. But a worker may have to start again at any time, and would load the new code under nodes that were described
from the old; and an environment may be deleted or rebuilt under a worker that runs. None of it happens without a word.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Collection
from pathlib import Path

from comfy_env_core.discovery import Site, source_fingerprint
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Environment
from comfy_env_core.sites.runtime import SiteRuntime

Nested = Callable[[Site], Collection[Path]]

LOOK_EVERY_S = 10.0
#: Looking costs one `stat` a file: a millisecond for 50 files, tens of them for thousands. Large packs are looked at
#: less often, so that it never takes more than this share of the time.
LARGEST_SHARE = 0.005


class Change(enum.Enum):
    """What is to be said of it, after the site's name."""

    ENVIRONMENT = "its environment was deleted while ComfyUI runs"
    REBUILT = "its environment was rebuilt or rolled back while ComfyUI runs"
    CONFIG = (
        "its comfy-env.toml changed while ComfyUI runs. Its nodes go on in the environment that they have; restart "
        "ComfyUI, or rebuild the pack, to get the one that the file asks for now."
    )
    SOURCE = (
        "its files changed while ComfyUI runs. Its nodes go on with the code that they were loaded with; restart "
        "ComfyUI to use the new."
    )


class Freshness:
    """Looks at a site when it is used, and no more often than every `LOOK_EVERY_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at: dict[str, float] = {}

    def look(self, runtime: SiteRuntime, nested: Nested, *, has_worker: bool) -> Change | None:
        """What changed under a site whose nodes run; None also when that was looked at a moment ago.

        `nested` gives the other sites inside of one. `has_worker`: whether its nodes have a process already; if not,
        one is about to be started, which needs the environment. One thread at a time.
        """
        if runtime.serving is None or runtime.state not in (SiteState.READY, SiteState.STALE):
            return None
        now = self._clock()
        is_due = now >= self._due_at.get(runtime.id, now)
        if is_due or not has_worker:
            current, is_there = Environment.of(runtime.serving).current(), runtime.serving.is_done()
            if current is None and not is_there:
                return Change.ENVIRONMENT
            # A worker goes on in the generation that it was started in.
            if current not in (None, runtime.serving) and not (has_worker and is_there):
                return Change.REBUILT
        if not is_due or runtime.state is SiteState.STALE:
            return None
        is_same = source_fingerprint(runtime.site, nested(runtime.site)) == runtime.source
        took_s = self._clock() - now
        self._due_at[runtime.id] = now + max(LOOK_EVERY_S, took_s / LARGEST_SHARE)
        if is_same:
            return None
        return Change.CONFIG if _config_changed(runtime) else Change.SOURCE


def _config_changed(runtime: SiteRuntime) -> bool:
    known = runtime.site.spec.source if runtime.site.spec is not None else None
    try:
        return runtime.site.config_path.read_bytes() != known
    except OSError:
        return True
