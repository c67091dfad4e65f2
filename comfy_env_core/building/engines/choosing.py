"""Which engine builds: a pixi that is there, a pixi that can be had quickly, or the embedded one."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from comfy_env_core.building.engines.conda_phase import channel_probe_url
from comfy_env_core.building.engines.contract import Engine
from comfy_env_core.building.engines.embedded import EmbeddedEngine
from comfy_env_core.building.engines.interpreter_phase import PYTHON_RELEASES_URL
from comfy_env_core.building.engines.pixi import PixiEngine
from comfy_env_core.building.engines.pixi_binary import (
    ARCHIVES,
    Archive,
    PixiBinary,
    archive_url,
    ask_version,
    download,
    downloaded_path,
    find_pixi,
)
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.errors import NETWORK_CAUSES, BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.settling import SettlingEngine
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store

_DOWNLOAD_S = 180.0
#: After this time without a pixi it is looked for again: the user may have installed one, or gone online.
_LOOK_AGAIN_S = 300.0
_CHECK_EVERY_S = 0.1


class EngineChooser:
    """Chooses once and remembers; hand `choose` to the `Builder`. Thread-safe."""

    def __init__(
        self,
        store: Store,
        settings: UserSettings,
        *,
        deadline_s: float = 5.0,
        archives: Mapping[str, Archive] = ARCHIVES,
    ) -> None:
        self._store = store
        self._settings = settings
        self._deadline_s = deadline_s
        self._archives = archives
        self._reachability = Reachability(settings, deadline_s=deadline_s)
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._chosen_at = 0.0

    def choose(self, report: Report) -> Engine:
        """The engine for the next build.

        `COMFY_ENV_ENGINE` ("pixi" or "embedded") decides if it is set. Raises BuildError: CONFIG for another value or a
        COMFY_ENV_PIXI that is no pixi, NETWORK if pixi is demanded and cannot be had. Waits for the network no longer
        than `deadline_s`, unless pixi's server answers within it and the download begins.
        """
        while not self._lock.acquire(timeout=_CHECK_EVERY_S):  # another build downloads pixi, say
            report.check()
        try:
            if self._engine is None or self._is_outdated(self._engine):
                chosen = self._chosen(report)
                self._engine = SettlingEngine(chosen, self._settings, self._reachability)
                self._chosen_at = time.monotonic()
            return self._engine
        finally:
            self._lock.release()

    def _is_outdated(self, engine: Engine) -> bool:
        fallback = engine.name == "embedded" and self._settings.engine is None
        return fallback and time.monotonic() - self._chosen_at > _LOOK_AGAIN_S

    def _chosen(self, report: Report) -> Engine:
        wanted = self._settings.engine
        if wanted not in (None, "pixi", "embedded"):
            raise BuildError(
                BuildCause.CONFIG,
                f"COMFY_ENV_ENGINE is {wanted!r}, which is no engine.",
                "Set it to 'pixi' or 'embedded', or remove it.",
            )
        if wanted == "embedded":
            return self._embedded()
        binary = find_pixi(self._store, self._settings, report.log) or self._downloaded(
            report, is_demanded=wanted == "pixi"
        )
        if binary is None:
            return self._embedded()
        return PixiEngine(binary, self._store, self._settings, self._reachability)

    def _embedded(self) -> Engine:
        return EmbeddedEngine(self._store, self._settings, reachability=self._reachability)

    def _downloaded(self, report: Report, *, is_demanded: bool) -> PixiBinary | None:
        """Our pinned pixi, if its server answers in time; None if not and the embedded engine will do."""
        platform = Platform.current()
        url = archive_url(self._settings, self._archives[platform.name])
        report.phase(Phase.RESOLVING, "looking for pixi")
        # What the embedded engine will ask next is asked at the same time: without a network 5 s are enough for all.
        usual_channel = channel_probe_url("conda-forge", self._settings.conda_mirrors)
        self._reachability.start([url, usual_channel, PYTHON_RELEASES_URL])
        if not self._reachability.answers(url, report.check):
            if is_demanded:
                raise _not_to_be_had(f"{url} gave no answer within {self._deadline_s:g} s")
            report.log(
                "no pixi on this machine, and its download server does not answer: using the embedded engine"
            )
            return None
        report.phase(Phase.DOWNLOADING, "pixi (once)")
        deadline = time.monotonic() + _DOWNLOAD_S
        fetcher = Fetcher(self._settings, timeout_s=10.0, deadline=deadline, check=report.check)
        try:
            path = download(self._store, self._settings, platform, fetcher, self._archives)
        except BuildError as error:
            if is_demanded or error.cause not in NETWORK_CAUSES:
                raise
            report.log(f"{error} Using the embedded engine.")
            return None
        binary = ask_version(path, self._settings.environ)
        if isinstance(binary, str):
            downloaded_path(self._store).unlink(missing_ok=True)
            if is_demanded:
                raise _not_to_be_had(binary)
            report.log(f"{binary}: using the embedded engine")
            return None
        return binary


def choose_engine(store: Store, settings: UserSettings, report: Report, *, deadline_s: float = 5.0) -> Engine:
    """One choice, remembered by nobody. A process that builds more than once keeps an `EngineChooser`."""
    return EngineChooser(store, settings, deadline_s=deadline_s).choose(report)


def _not_to_be_had(reason: str) -> BuildError:
    return BuildError(
        BuildCause.NETWORK,
        f"COMFY_ENV_ENGINE asks for pixi, which cannot be had: {reason}.",
        "Install pixi, name a mirror with COMFY_ENV_PIXI_MIRROR, or remove COMFY_ENV_ENGINE (the embedded engine "
        "builds then).",
    )
