"""Repositories and the registry behind one door: what would come from there, and fetching it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.report import Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import GitSource, RegistrySource
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.cloning import Cloning
from comfy_env_core.prerequisites.packs.fetched import Fetched
from comfy_env_core.prerequisites.packs.git import Git
from comfy_env_core.prerequisites.packs.registry import Registry


@dataclasses.dataclass(frozen=True)
class Preview:
    """What a server would send now. `size_bytes` is None for a repository: git does not tell before it sends."""

    version: str
    size_bytes: int | None

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class PackSources:
    """Both methods raise BuildError, and use the user's network settings."""

    def __init__(self, addresses: Addresses, settings: UserSettings, report: Report) -> None:
        self._addresses = addresses
        self._settings = settings
        self._report = report
        self._fetcher = Fetcher(settings, check=report.check)

    def preview(self, source: GitSource | RegistrySource) -> Preview:
        """One or two small requests."""
        if isinstance(source, RegistrySource):
            found = self._registry().look_up(source)
            return Preview(f"version {found.version}", self._fetcher.size_bytes(found.download_url))
        commit = self._cloning().look_up(source).commit
        return Preview(f"commit {commit[:12]}" if commit else "", None)

    def fetch(self, source: GitSource | RegistrySource, directory: Path) -> Fetched:
        """Into `directory`, which it makes."""
        if isinstance(source, RegistrySource):
            return self._registry().fetch(source, directory, self._report)
        return self._cloning().fetch(source, directory)

    def _registry(self) -> Registry:
        return Registry(self._addresses, self._fetcher)

    def _cloning(self) -> Cloning:
        git = Git(self._addresses, self._settings, self._report)
        return Cloning(git, self._addresses, self._fetcher, self._report)
