"""`GET /comfy-env/packs`: what packs are configured by, with what is wrong or odd at its line; and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.environments import TEXT
from comfy_env_core.api.operation import Ask, FileAnswer, Operation
from comfy_env_core.api.refusals import NOT_POSSIBLE, UNKNOWN_PACK, UNKNOWN_SITE
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.lock_file import read_lock
from comfy_env_core.building.user_settings import redact
from comfy_env_core.config import ConfigError, ConfigWarning, parse_env, parse_root
from comfy_env_core.discovery import ENV_FILE_NAME, Pack

FileKind = Literal["environment", "root", "lock"]
PlatformName = Literal["linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"]


class ProblemJson(TypedDict):
    """What is wrong in a file ("error": it cannot be used), or has no effect. `line` counts from 1."""

    level: Literal["error", "warning"]
    line: int | None
    key: str | None
    problem: str
    remedy: str


class PackFileJson(TypedDict):
    """A file as it is now. `path`: below the pack, with "/". `text`: empty for locks in the list of all packs."""

    path: str
    kind: FileKind
    text: str
    problems: list[ProblemJson]


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


class Packs:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def show_all(self, ask: Ask) -> PackList:
        """The packs that have a comfy-env.toml or comfy-env-root.toml, read anew."""
        return {"packs": [self._as_json(pack, with_locks=False) for pack in self._configured()]}

    def show(self, ask: Ask) -> PackJson:
        """One pack with all its files."""
        name = ask.path["pack"]
        for pack in self._configured():
            if pack.name == name:
                return self._as_json(pack, with_locks=True)
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

    def _configured(self) -> Iterator[Pack]:
        scan = self._backend.manager.scan
        names = {site.pack.name for site in scan.sites}
        names |= {id_.partition("/")[0] for id_ in (*scan.roots, *scan.root_errors)}
        return (pack for pack in scan.packs if pack.name in names)

    def _as_json(self, pack: Pack, *, with_locks: bool) -> PackJson:
        runtimes = self._backend.manager.sites.values()
        sites = [runtime for runtime in runtimes if runtime.site.pack.name == pack.name]
        return {
            "name": pack.name,
            "path": str(pack.path),
            "sites": [runtime.id for runtime in sites],
            "nodes": sum(len(runtime.status().nodes) for runtime in sites),
            "files": [
                _file(pack, path, kind, with_text=with_locks or kind != "lock")
                for path, kind in self._files(pack)
            ],
        }

    def _files(self, pack: Pack) -> Iterator[tuple[Path, FileKind]]:
        """Those that were there at the start, and locks that are there now."""
        scan = self._backend.manager.scan
        for id_ in sorted({*scan.roots, *scan.root_errors}):
            if id_.partition("/")[0] == pack.name:
                read = scan.roots.get(id_) or scan.root_errors[id_]
                yield read.path, "root"
        for site in scan.sites:
            if site.pack.name == pack.name:
                yield site.config_path, "environment"
                lock = site.config_path.with_name(LOCK_NAME)
                if lock.exists():
                    yield lock, "lock"


def _file(pack: Pack, path: Path, kind: FileKind, *, with_text: bool) -> PackFileJson:
    content, problems = b"", list[ProblemJson]()
    try:
        content = path.read_bytes()
    except OSError as error:
        problems.append(
            {
                "level": "error",
                "line": None,
                "key": None,
                "problem": f"the file cannot be read: {error.strerror or error}",
                "remedy": "Put it back, or restart ComfyUI if it was removed on purpose",
            }
        )
    else:
        problems += _problems(content, path, _READERS[kind])
    return {
        "path": path.relative_to(pack.path).as_posix(),
        "kind": kind,
        "text": content.decode("utf-8", "replace") if with_text else "",
        "problems": problems,
    }


#: Each raises ConfigError. Any: what they return have nothing in common but `warnings`, which a lock has none of.
_READERS: dict[FileKind, Callable[[bytes, Path], Any]] = {
    "environment": parse_env,
    "root": parse_root,
    "lock": read_lock,
}


def _problems(content: bytes, path: Path, read: Callable[[bytes, Path], Any]) -> Iterator[ProblemJson]:
    try:
        parsed = read(content, path)
    except ConfigError as error:
        yield _problem("error", error)
        return
    for warning in getattr(parsed, "warnings", ()):
        yield _problem("warning", warning)


def _problem(level: Literal["error", "warning"], told: ConfigError | ConfigWarning) -> ProblemJson:
    return {
        "level": level,
        "line": told.line,
        "key": told.key,
        "problem": told.problem,
        "remedy": told.remedy,
    }
