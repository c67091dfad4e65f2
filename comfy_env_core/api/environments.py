"""`GET /comfy-env/environments`: every environment in the store, and every one that a pack of this ComfyUI asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, FileAnswer, Operation
from comfy_env_core.api.refusals import NO_FILE, UNKNOWN_ENVIRONMENT, Refusal, Refused
from comfy_env_core.api.standing import Evidence, FailureJson
from comfy_env_core.building.job_snapshot import BuildJson, BuildState, JobSnapshot
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.user_settings import redact
from comfy_env_core.environments.looks import read_record
from comfy_env_core.environments.meta import DamagedMeta, Meta
from comfy_env_core.environments.store import Environment, Workspace
from comfy_env_core.manager import BuildMode
from comfy_env_core.sites.status import SiteStatus

TEXT = "text/plain; charset=utf-8"


class EngineUsed(TypedDict):
    """What filled an environment."""

    name: str
    version: str


class SizeJson(TypedDict):
    """Of the last measurement: deleting it gives back `unique_bytes`; others hold the shared ones too."""

    unique_bytes: int
    shared_bytes: int


class EnvironmentJson(TypedDict):
    """One environment.

    - `reason`: why it is in this state, for people. `error`: what went wrong; with a `generation`, an earlier build
      serves all the same.
    - `sites`: that ask for it, or whose nodes run in it; none: no pack of this ComfyUI uses it. `packs`: their packs.
    - `python` to `left_out`: of the generation that serves; null before the first build. `built_at`: ISO 8601, UTC.
    - `build`: the one under way, or the last one of this process. `built_elsewhere`: by another process.
    - `size`: null before GET /comfy-env/disk was asked for.
    - `left_out`: packages that it does without, because they need a GPU which is not there.
    """

    id: str
    state: Literal["missing"] | BuildState
    reason: str | None
    sites: list[str]
    packs: list[str]
    python: str | None
    engine: EngineUsed | None
    package_count: int | None
    built_at: str | None
    duration_s: float | None
    generation: int | None
    can_roll_back: bool
    build: BuildJson | None
    built_elsewhere: bool
    error: FailureJson | None
    size: SizeJson | None
    has_log: bool
    has_lock: bool
    left_out: list[str]


class PackageJson(TypedDict):
    """An installed package. `source`: "conda" or "pypi"."""

    name: str
    version: str
    source: str


class GenerationJson(TypedDict):
    """One build of an environment. `is_previous`: the one that rolling back returns to."""

    number: int
    is_current: bool
    is_previous: bool
    built_at: str | None


class EnvironmentDetail(EnvironmentJson):
    """An environment with all that is known of it.

    - `config_path`: the file that it is made from. `facts`: what else its id is made from, each as "name=value".
    - `generations`: the oldest first.
    """

    packages: list[PackageJson]
    directory: str
    log_path: str
    config_path: str | None
    facts: list[str]
    generations: list[GenerationJson]


class EnvironmentList(TypedDict):
    environments: list[EnvironmentJson]


def operations(backend: Backend) -> list[Operation]:
    environments = Environments(backend)
    ids = {"environment_id": "The id of an environment, 8 hex digits."}

    def one(path: str, handler: Callable[[Ask], Any], *refusals: Refusal, **answer: Any) -> Operation:
        path = "/environments/{environment_id}" + path
        unknown = (UNKNOWN_ENVIRONMENT, *refusals)
        return Operation("GET", path, handler, ids=ids, refusals=unknown, tag="environments", **answer)

    return [
        Operation("GET", "/environments", environments.show_all, answer=EnvironmentList, tag="environments"),
        one("", environments.show, answer=EnvironmentDetail),
        one("/lock", environments.lock, NO_FILE, media_type=TEXT),
        one("/manifest", environments.manifest, NO_FILE, media_type=TEXT),
    ]


class Environments:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def show_all(self, ask: Ask) -> EnvironmentList:
        """Every environment in the store, and every one that a pack of this ComfyUI asks for, in order of their ids.

        Those that no pack uses are among them: `sites` is empty then.
        """
        users, builds = self._users(), self._builds()
        found = {environment.id: environment for environment in self._backend.store.environments()}
        for id_ in users:
            found.setdefault(id_, self._backend.store.environment(id_))
        return {
            "environments": [
                self._as_json(found[id_], users.get(id_, ()), builds.get(id_)) for id_ in sorted(found)
            ]
        }

    def show(self, ask: Ask) -> EnvironmentDetail:
        """One environment with its packages, its builds and its files."""
        return self.detail(self._backend.environment(ask.path["environment_id"]))

    def one(self, environment: Environment) -> EnvironmentJson:
        return self._as_json(
            environment, self._users().get(environment.id, ()), self._builds().get(environment.id)
        )

    def detail(self, environment: Environment) -> EnvironmentDetail:
        users = self._users().get(environment.id, ())
        current, previous = environment.current(), environment.previous()
        meta = _meta(current)
        return {
            **self._as_json(environment, users, self._builds().get(environment.id)),
            "packages": [
                {"name": one.name, "version": one.version, "source": one.source} for one in meta.packages
            ]
            if meta is not None
            else [],
            "directory": str(environment.directory),
            "log_path": str(environment.log_path),
            "config_path": _config_path(environment, users, meta),
            "facts": list(meta.facts) if meta is not None else [],
            "generations": [
                _generation(workspace, current, previous) for workspace in environment.generations()
            ],
        }

    def lock(self, ask: Ask) -> FileAnswer:
        """The exact packages of the build that serves, in the form of a comfy-env.lock.

        Beside the pack's comfy-env.toml, as comfy-env.lock, it makes every machine of this kind build the same.
        """
        environment = self._backend.environment(ask.path["environment_id"])
        current = environment.current()
        path = current.directory / LOCK_NAME if current is not None else None
        return FileAnswer(_content(path, environment, "lock"), TEXT, LOCK_NAME)

    def manifest(self, ask: Ask) -> FileAnswer:
        """The pixi.toml that its last build was given, each added line explained, without passwords of addresses."""
        environment = self._backend.environment(ask.path["environment_id"])
        workspace = environment.current() or next(reversed(environment.generations()), None)
        content = _content(
            workspace.manifest_path if workspace is not None else None, environment, "manifest"
        )
        return FileAnswer(redact(content.decode("utf-8", "replace")).encode(), TEXT)

    def _users(self) -> Mapping[str, Sequence[SiteStatus]]:
        """Environment → the sites that ask for it or run in it."""
        users: dict[str, list[SiteStatus]] = defaultdict(list)
        for runtime in self._backend.manager.sites.values():
            status = runtime.status()
            for id_ in runtime.environment_ids():
                users[id_].append(status)
        return users

    def _builds(self) -> Mapping[str, JobSnapshot]:
        return {build.environment_id: build for build in self._backend.manager.builds()}

    def _as_json(
        self, environment: Environment, users: Sequence[SiteStatus], build: JobSnapshot | None
    ) -> EnvironmentJson:
        look = self._backend.looks.at(environment)
        record = look.record
        builds_at_start = self._backend.manager.mode is not BuildMode.OFF
        standing = Evidence(environment, look, users, build, builds_at_start).standing()
        return {
            "id": environment.id,
            "state": standing.state,
            "reason": standing.reason,
            "sites": [site.id for site in users],
            "packs": list(dict.fromkeys(site.pack for site in users)),
            "python": record.python_version if record is not None else None,
            "engine": {"name": record.engine, "version": record.engine_version}
            if record is not None
            else None,
            "package_count": record.package_count if record is not None else None,
            "built_at": record.built_at if record is not None else None,
            "duration_s": record.duration_s if record is not None else None,
            "generation": look.generation,
            "can_roll_back": look.previous is not None,
            "build": standing.build,
            "built_elsewhere": standing.is_built_elsewhere,
            "error": standing.error,
            "size": self._size(environment),
            "has_log": environment.log_path.name in look.names,
            "has_lock": LOCK_NAME in look.current_names,
            "left_out": list(record.left_out) if record is not None else [],
        }

    def _size(self, environment: Environment) -> SizeJson | None:
        measured = self._backend.measuring.latest
        size = measured.sizes.get(environment.id) if measured is not None else None
        if size is None:
            return None
        return {"unique_bytes": size.unique_bytes, "shared_bytes": size.shared_bytes}


def _generation(
    workspace: Workspace, current: Workspace | None, previous: Workspace | None
) -> GenerationJson:
    record = read_record(workspace)
    return {
        "number": workspace.number,
        "is_current": workspace == current,
        "is_previous": workspace == previous,
        "built_at": record.built_at if record is not None else None,
    }


def _config_path(environment: Environment, users: Sequence[SiteStatus], meta: Meta | None) -> str | None:
    """The file of a site that asks for it, else the one that it was built from, which may be gone."""
    asking = [site for site in users if site.environment_id == environment.id]
    if asking:
        return str(asking[0].config_path)
    return meta.config_path if meta is not None else None


def _meta(workspace: Workspace | None) -> Meta | None:
    try:
        return workspace.read_meta() if workspace is not None else None
    except DamagedMeta:
        return None


def _content(path: Path | None, environment: Environment, what: str) -> bytes:
    """Raises Refused where there is no such file."""
    try:
        if path is not None:
            return path.read_bytes()
    except FileNotFoundError:
        pass
    raise no_file(environment, what)


def no_file(environment: Environment, what: str) -> Refused:
    return NO_FILE.because(
        f"Environment {environment.id!r} has no {what}: it was not built yet, or by an earlier version.",
        "Build it, or build it anew.",
    )
