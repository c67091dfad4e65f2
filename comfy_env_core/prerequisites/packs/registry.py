"""Packs of the Comfy registry. Source: docs.comfy.org, API reference, "Returns a node version to be installed"."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from urllib.parse import urlsplit

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher, NotThere
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.config import RegistrySource
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.fetched import Fetched
from comfy_env_core.prerequisites.packs.unpacking import Bounds, unpack

_ACTIVE, _PENDING = "NodeVersionStatusActive", "NodeVersionStatusPending"
#: What ComfyUI-Manager keeps in a pack of the registry: the names of its files, one a line, for its own updates.
_TRACKING = ".tracking"
_ANSWER_BYTES = 4 << 20
_BOUNDS = Bounds()


@dataclasses.dataclass(frozen=True)
class RegistryVersion:
    """One published version, and what the registry thinks of it."""

    version: str
    download_url: str
    status: str
    is_deprecated: bool


class Registry:
    """The fetcher brings the user's proxies and certificates."""

    def __init__(self, addresses: Addresses, fetcher: Fetcher, bounds: Bounds = _BOUNDS) -> None:
        self._addresses = addresses
        self._fetcher = fetcher
        self._bounds = bounds

    def look_up(self, source: RegistrySource) -> RegistryVersion:
        """What would be fetched. Raises BuildError: NO_SUCH_PACKAGE, PERMISSION for what was withdrawn, NETWORK …"""
        url = self._addresses.node(source)
        try:
            answer = self._fetcher.page(url, accept="application/json", limit_bytes=_ANSWER_BYTES)
        except NotThere as error:
            raise BuildError(
                BuildCause.NO_SUCH_PACKAGE,
                f"The Comfy registry has no {source.node_id!r}"
                + (f" in version {source.version}." if source.version else "."),
                f"Look at https://registry.comfy.org/nodes/{source.node_id}, and correct the pack's "
                "comfy-env-root.toml. If the pack is not yours, show this to its author.",
            ) from error
        found = _read(answer.body, url)
        if found.status not in (_ACTIVE, _PENDING, ""):
            raise BuildError(
                BuildCause.PERMISSION,
                f"The Comfy registry has withdrawn {source.node_id!r} {found.version}: its status is {found.status!r}.",
                "It is not fetched. If you trust it, install it with ComfyUI-Manager or by hand.",
            )
        return found

    def fetch(self, source: RegistrySource, directory: Path, report: Report) -> Fetched:
        """Downloads and unpacks into `directory`, which it makes. Raises BuildError."""
        report.phase(Phase.RESOLVING, f"asking {self._addresses.registry} for {source.node_id}")
        found = self.look_up(source)
        report.phase(Phase.DOWNLOADING, f"downloading {source.node_id} {found.version}")
        report.log(found.download_url)
        archive = directory.with_name(f"{directory.name}.zip")
        try:
            self._fetcher.download(found.download_url, archive, None, limit_bytes=self._bounds.archive_bytes)
        except NotThere as error:
            raise BuildError(
                BuildCause.NO_SUCH_PACKAGE,
                f"The registry names {found.download_url!r} for {source.node_id!r}, and nothing is there.",
                "Ask for another version in the pack's comfy-env-root.toml, or try later.",
            ) from error
        report.phase(Phase.INSTALLING, f"unpacking {archive.stat().st_size:,} bytes")
        names = unpack(archive, directory, self._bounds, report.check)
        archive.unlink()
        (directory / _TRACKING).write_text("\n".join(names), encoding="utf-8")
        notes = []
        if found.is_deprecated:
            notes.append("its author has marked this version as deprecated")
        if found.status == _PENDING:
            notes.append("the registry has not checked this version yet")
        return Fetched(f"version {found.version}", tuple(notes))


def _read(body: bytes, url: str) -> RegistryVersion:
    """The parts of a NodeVersion that matter. An archive comes over https wherever the registry itself does."""
    try:
        answer = json.loads(body)
        found = RegistryVersion(
            version=str(answer["version"]),
            download_url=str(answer["downloadUrl"]),
            status=str(answer.get("status", "")),
            is_deprecated=answer.get("deprecated") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BuildError(
            BuildCause.NETWORK,
            f"{url!r} did not answer as the Comfy registry does ({type(error).__name__}: {error}).",
            "Is COMFY_ENV_REGISTRY right? A proxy may have answered in the registry's place.",
        ) from error
    if urlsplit(found.download_url).scheme not in ("https", urlsplit(url).scheme):
        raise BuildError(
            BuildCause.CHECKSUM,
            f"The registry at {url!r} names {found.download_url!r} to download, which is not https.",
            "It is not fetched. Show this to whoever runs that registry.",
        )
    return found
