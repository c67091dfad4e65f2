"""Which servers answer, asked once and in parallel: a build must not wait for a dead host that another has waited for.

A probe runs in a daemon thread of its own, because a name server that is away or a server that accepts and stays silent
holds a thread longer than any timeout given to a socket; the asker waits until the deadline and goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import urllib.error
from collections.abc import Callable, Iterable

from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.user_settings import UserSettings, redact

logger = logging.getLogger(__name__)

#: A host that did not answer is asked again after this time: the user may have plugged the cable in meanwhile.
_RETRY_AFTER_S = 120.0
_CHECK_EVERY_S = 0.1


@dataclasses.dataclass
class _Probe:
    started_at: float
    finished: threading.Event = dataclasses.field(default_factory=threading.Event)
    answered: bool = False


class Reachability:
    """Remembers for the life of the process which URLs answered. Thread-safe; make one and pass it on."""

    def __init__(self, settings: UserSettings, *, deadline_s: float = 5.0) -> None:
        self._settings = settings
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._probes: dict[str, _Probe] = {}

    def start(self, urls: Iterable[str]) -> None:
        """Begins to ask these in the background, so that `answers` finds the reply waiting."""
        for url in urls:
            self._probe(url)

    def answers(self, url: str, check: Callable[[], None] = lambda: None) -> bool:
        """Whether the file behind `url` can be had: its server sent success, or asked for credentials.

        Waits until `deadline_s` after the first time anybody asked, no longer; `check` may raise meanwhile.
        """
        probe = self._probe(url)
        while not probe.finished.is_set():
            remaining_s = probe.started_at + self._deadline_s - time.monotonic()
            if remaining_s <= 0:
                break
            probe.finished.wait(min(remaining_s, _CHECK_EVERY_S))
            check()
        return probe.answered

    def _probe(self, url: str) -> _Probe:
        with self._lock:
            probe = self._probes.get(url)
            if probe is not None and not self._is_outdated(probe):
                return probe
            probe = self._probes[url] = _Probe(time.monotonic())
        threading.Thread(target=self._ask, args=(url, probe), name="comfy-env-probe", daemon=True).start()
        return probe

    def _is_outdated(self, probe: _Probe) -> bool:
        return not probe.answered and time.monotonic() - probe.started_at > _RETRY_AFTER_S

    def _ask(self, url: str, probe: _Probe) -> None:
        try:
            probe.answered = Fetcher(self._settings, timeout_s=self._deadline_s).answers(url)
        except (
            ValueError,
            urllib.error.URLError,
        ) as error:  # not a URL, or a scheme that urllib does not know
            logger.warning("Asking %s failed: %s", redact(url), error)
        finally:
            probe.finished.set()
            logger.debug("%s %s", redact(url), "answers" if probe.answered else "does not answer")
