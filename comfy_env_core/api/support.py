"""`GET /comfy-env/support-bundle`: what to hand on when asking for help."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.doctor import FindingJson, as_json, surroundings_of
from comfy_env_core.api.environments import Environments
from comfy_env_core.api.operation import Ask, FileAnswer, Operation
from comfy_env_core.api.packs import Packs
from comfy_env_core.api.settings import Settings
from comfy_env_core.api.status import Status
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.doctor.examination import examine
from comfy_env_core.environments.home import user_home
from comfy_env_core.support.bundle import SUMMARY, Part, write_bundle
from comfy_env_core.support.identity import Identity
from comfy_env_core.support.logs import log_parts, logs_of_builds, logs_of_workers, tail
from comfy_env_core.support.machine import variables, versions
from comfy_env_core.support.redaction import Redactor
from comfy_env_core.support.summary import summarise

_NOTHING = Ask({}, {}, {})


def operations(backend: Backend) -> list[Operation]:
    bundle = SupportBundle(backend)
    return [
        Operation("GET", "/support-bundle", bundle.answer, media_type="application/zip", tag="support"),
    ]


class SupportBundle:
    """One at a time: reading and redacting megabytes of logs keeps a processor busy."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._gathering = threading.Lock()

    def answer(self, ask: Ask) -> FileAnswer:
        """A zip with state, logs, configuration files, settings, versions and what doctor found; a few seconds.

        Names, places on disks, addresses and secrets are replaced by placeholders.
        """
        name = f"comfy-env-support-{time.strftime('%Y%m%d-%H%M%S')}.zip"
        return FileAnswer(self.content(), "application/zip", name)

    def content(self) -> bytes:
        with self._gathering:
            gathered = _Gathered(self._backend)
            return write_bundle(gathered.parts(), Redactor(gathered.identity()))


class _Gathered:
    """What one bundle is made of. Each thing is gathered once, however many parts need it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._environments = Environments(backend)

    def identity(self) -> Identity:
        manager, environ = self._backend.manager, self._backend.environ
        settings = UserSettings.gather(environ, user_home())
        urls = (settings.index_url or "", *settings.extra_index_urls, *settings.find_links)
        places: dict[str, Path | None] = {
            "<store>": self._backend.store.root,
            "<comfyui>": manager.comfyui_source,
            # A system's own Python is where everybody's is.
            "<python>": None if sys.prefix.startswith("/usr") else Path(sys.prefix),
        }
        for number, directory in enumerate(manager.custom_nodes, 1):
            places["<custom_nodes>" if number == 1 else f"<custom_nodes-{number}>"] = directory
        return Identity.of_this_machine(environ, user_home(), places, urls)

    def parts(self) -> Iterator[Part]:
        backend = self._backend
        yield Part(SUMMARY, lambda: summarise(self._versions, self._status, self._findings))
        yield Part("status.json", lambda: self._status)
        yield Part("versions.json", lambda: self._versions)
        yield Part("doctor.json", lambda: self._findings)
        yield Part("settings.json", lambda: Settings(backend).show(_NOTHING))
        yield Part("settings-file.txt", self._settings_file)
        yield Part("variables.txt", lambda: variables(backend.environ))
        yield Part("environments.json", lambda: self._environments.show_all(_NOTHING))
        yield Part("packs.json", lambda: Packs(backend).show_all(_NOTHING))
        recent_log = backend.facts.recent_log
        if recent_log is not None:
            yield Part("comfyui.log.txt", recent_log)
        used = sorted(
            {id_ for runtime in backend.manager.sites.values() for id_ in runtime.environment_ids()}
        )
        for environment_id in used:
            ask = Ask({"environment_id": environment_id}, {}, {})
            yield Part(
                f"environments/{environment_id}/packages.json",
                functools.partial(self._environments.show, ask),
            )
        workers = {backend.manager.workers.log_path(runtime) for runtime in backend.manager.sites.values()}
        yield from log_parts([*logs_of_builds(backend.store, used), *logs_of_workers(workers)])
        for path in self._configuration_files():
            yield Part(f"packs/{path.parent.name}/{path.name}", functools.partial(tail, path))

    def _configuration_files(self) -> list[Path]:
        """Of the packs, as they are now."""
        scan = self._backend.manager.scan
        roots = [pack.path / "comfy-env-root.toml" for pack in scan.packs]
        return [path for path in (*(site.config_path for site in scan.sites), *roots) if path.is_file()]

    def _settings_file(self) -> str:
        path = self._backend.store.settings_path
        return tail(path) if os.path.exists(path) else "There is none: nothing was set.\n"

    @functools.cached_property
    def _status(self) -> Any:  # JSON
        return Status(self._backend).show(_NOTHING)

    @functools.cached_property
    def _versions(self) -> Any:  # JSON
        return versions(self._backend.facts.comfyui_version, self._backend.environ)

    @functools.cached_property
    def _findings(self) -> list[FindingJson]:
        return [as_json(finding) for finding in examine(surroundings_of(self._backend))]
