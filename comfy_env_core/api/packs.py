"""`GET /comfy-env/packs`: what packs are configured by, with what is wrong or odd at its line; and what it becomes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.environments import TEXT
from comfy_env_core.api.operation import Ask, FileAnswer, Operation
from comfy_env_core.api.pack_files import FileKind, PackFileJson, pack_file
from comfy_env_core.api.refusals import NOT_POSSIBLE, UNKNOWN_PACK, UNKNOWN_SITE
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.user_settings import redact
from comfy_env_core.discovery import ENV_FILE_NAME, Pack
from comfy_env_core.sites.runtime import SiteRuntime

PlatformName = Literal["linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"]


class PackJson(TypedDict):
    """A pack that is configured by files of ours. `sites`: its isolated directories. `nodes`: how many these have."""

    name: str
    path: str
    sites: list[str]
    nodes: int
    files: list[PackFileJson]


class PackList(TypedDict):
    packs: list[PackJson]


class ManifestQuery(TypedDict, total=False):
    """`platform`: another machine's, without a GPU; left out: this one."""

    platform: PlatformName


def operations(backend: Backend) -> list[Operation]:
    packs = Packs(backend)
    return [
        Operation("GET", "/packs", packs.show_all, answer=PackList, tag="packs"),
        Operation(
            "GET",
            "/packs/{pack}",
            packs.show,
            answer=PackJson,
            ids={"pack": "The name of a pack: of its folder."},
            refusals=(UNKNOWN_PACK,),
            tag="packs",
        ),
        Operation(
            "GET",
            "/sites/{site}/manifest",
            packs.manifest,
            media_type=TEXT,
            ids={"site": "The id of an isolated directory."},
            query=ManifestQuery,
            refusals=(UNKNOWN_SITE, NOT_POSSIBLE),
            tag="packs",
        ),
    ]


@dataclasses.dataclass(frozen=True)
class _Configured:
    """A pack with its sites and its root files, as they were found at the start."""

    pack: Pack
    sites: list[SiteRuntime]
    root_files: list[Path]

    def files(self) -> Iterator[tuple[Path, FileKind]]:
        """Those that were there at the start, and locks that are there now."""
        for path in self.root_files:
            yield path, "root"
        for runtime in self.sites:
            yield runtime.site.config_path, "environment"
            lock = os.path.join(runtime.site.directory, LOCK_NAME)
            if os.path.exists(lock):
                yield Path(lock), "lock"


class Packs:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def show_all(self, ask: Ask) -> PackList:
        """The packs that have a comfy-env.toml or comfy-env-root.toml, read anew."""
        return {"packs": [self._as_json(one, with_locks=False) for one in self._configured().values()]}

    def show(self, ask: Ask) -> PackJson:
        """One pack with all its files."""
        name = ask.path["pack"]
        found = self._configured().get(name)
        if found is not None:
            return self._as_json(found, with_locks=True)
        raise UNKNOWN_PACK.because(
            f"There is no pack {name!r} with a {ENV_FILE_NAME}.",
            "GET /comfy-env/packs lists them. ComfyUI finds packs when it starts: restart it after adding one.",
        )

    def manifest(self, ask: Ask) -> FileAnswer:
        """The pixi.toml that the directory's comfy-env.toml, as it is now, becomes, each added line explained.

        Nothing is built, and no network is asked. Passwords of addresses are left out.
        """
        runtime = self._backend.site(ask.path["site"])
        try:
            plan = self._backend.manager.plan(runtime, ask.query.get("platform"))
        except BuildError as error:
            # What is wrong with a file is told in one sentence, way out included.
            raise NOT_POSSIBLE.because(
                error.message, error.remedy or "Correct the file, then ask again."
            ) from error
        return FileAnswer(redact(plan.manifest()).encode("utf-8", "backslashreplace"), TEXT)

    def _configured(self) -> dict[str, _Configured]:
        """By name, in the order of the scan."""
        scan = self._backend.manager.scan
        packs = {pack.name: _Configured(pack, [], []) for pack in scan.packs}
        for runtime in self._backend.manager.sites.values():
            packs[runtime.site.pack.name].sites.append(runtime)
        for id_ in sorted({*scan.roots, *scan.root_errors}):
            read = scan.roots.get(id_) or scan.root_errors[id_]
            packs[id_.partition("/")[0]].root_files.append(read.path)
        return {name: one for name, one in packs.items() if one.sites or one.root_files}

    def _as_json(self, configured: _Configured, *, with_locks: bool) -> PackJson:
        pack, sites = configured.pack, configured.sites
        return {
            "name": pack.name,
            "path": str(pack.path),
            "sites": [runtime.id for runtime in sites],
            "nodes": sum(len(runtime.status().nodes) for runtime in sites),
            "files": [
                pack_file(pack.path, path, kind, in_full=with_locks or kind != "lock")
                for path, kind in configured.files()
            ],
        }
