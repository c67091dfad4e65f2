"""What changed, told to every connected page: gathered, numbered, and never more than a page can take.

Each event carries a number, so that a page which missed some can tell, and `run`, so that it can tell a server that was
started anew. Such a page asks for everything again (`GET /comfy-env/status`).
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from comfy_env_core.api.work import JobJson
from comfy_env_core.building.job_snapshot import BuildJson, JobSnapshot
from comfy_env_core.sites.failure import SiteFailure
from comfy_env_core.sites.status import SiteJson, SiteStatus
from comfy_env_core.sites.worker_status import WorkerJson

if TYPE_CHECKING:
    from comfy_env_core.environments.states import EnvironmentState

log = logging.getLogger("comfy-env.api")

#: Sends (event name, data) to every connected page. Called from a thread of the feed.
Send = Callable[[str, Mapping[str, Any]], None]
#: The JSON of one site, build or worker; None when there is none any more. Any: shapes of the routes that show them.
Payload = Callable[..., "Mapping[str, Any] | None"]

CHANGES_EVENT = "comfy-env.changes"
NODES_EVENT = "comfy-env.nodes"
#: So long changes are gathered: nobody sees the difference, and a build makes hundreds in a second.
GATHER_S = 0.1
#: So many sites, builds, workers and jobs are in one event: encoding it takes ComfyUI's event loop a few milliseconds
#: at most, also for packs with hundreds of nodes.
MOST_IN_ONE_EVENT = 50
#: Between one event and the next, for whatever else ComfyUI's event loop has to do.
PAUSE_S = 0.005


class ChangesEvent(TypedDict):
    """What changed, each as its route shows it now. Of what is named in `environments` (ids) the routes must be asked.

    - `packs`: names of those whose files changed. `settings`: whether these changed.
    """

    run: str
    sequence: int
    sites: list[SiteJson]
    builds: list[BuildJson]
    workers: list[WorkerJson]
    jobs: list[JobJson]
    environments: list[str]
    packs: list[str]
    settings: bool


class NodesEvent(TypedDict):
    """Nodes became available, or changed, while ComfyUI runs.

    - `scripts`: URL paths of the packs' page scripts that a page which was open already did not load.
    """

    run: str
    sequence: int
    packs: list[str]
    nodes: list[str]
    scripts: list[str]


@dataclasses.dataclass(frozen=True)
class Payloads:
    """Makes the JSON of what changed, in the moment in which it is sent: `site(id)`, `worker(site id)`,
    `build(snapshot)`."""

    site: Payload = lambda site_id: None
    worker: Payload = lambda site_id: None
    build: Payload = lambda snapshot: snapshot.as_json()


@dataclasses.dataclass
class _Waiting:
    """What changed since the last event. Dictionaries for their order; of what changed twice, the newest."""

    sites: dict[str, None] = dataclasses.field(default_factory=dict)
    builds: dict[str, JobSnapshot] = dataclasses.field(default_factory=dict)
    workers: dict[str, None] = dataclasses.field(default_factory=dict)
    jobs: dict[str, JobJson] = dataclasses.field(default_factory=dict)
    environments: dict[str, None] = dataclasses.field(default_factory=dict)
    packs: dict[str, None] = dataclasses.field(default_factory=dict)
    settings: bool = False
    nodes: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = dataclasses.field(default_factory=list)

    def is_empty(self) -> bool:
        return not any(vars(self).values())

    def has_changes(self) -> bool:
        return any(value for name, value in vars(self).items() if name != "nodes")


@dataclasses.dataclass(frozen=True)
class _Use:
    """What environments show of a site: which of them it asks for and runs in, and why its nodes cannot run."""

    environment_ids: frozenset[str] = frozenset()
    failure: SiteFailure | None = None

    @classmethod
    def of(cls, site: SiteStatus) -> _Use:
        serving = site.serving.environment_id if site.serving is not None else None
        return cls(frozenset(filter(None, (site.environment_id, serving))), site.failure)


class EventFeed:
    """Thread-safe, and a `ManagerListener`. Its thread exists only while something waits to be told.

    - `is_behind`: whether pages have not taken yet what was sent to them. Until they have, changes are gathered on, and
      of each thing only the newest is told: a page that sleeps costs no memory.
    """

    def __init__(
        self, send: Send, payloads: Payloads = Payloads(), is_behind: Callable[[], bool] = lambda: False
    ) -> None:
        self.run = uuid.uuid4().hex[:12]
        self._send = send
        self._payloads = payloads
        self._is_behind = is_behind
        self._numbers = itertools.count(1)
        self._sequence = 0
        self._lock = threading.Lock()
        self._waiting = _Waiting()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._build_states: dict[str, EnvironmentState] = {}
        self._site_uses: dict[str, _Use] = {}

    @property
    def sequence(self) -> int:
        """The number of the last event. To be read before the state that is said to be as new as that."""
        return self._sequence

    def close(self) -> None:
        """Nothing is told from now on."""
        self._closing.set()

    # --- what changed ------------------------------------------------------------------------------------------------

    def site_changed(self, site_id: str) -> None:
        self._gather(lambda waiting: waiting.sites.update({site_id: None}))

    def build_changed(self, build: JobSnapshot) -> None:
        self._gather(lambda waiting: waiting.builds.update({build.id: build}))

    def worker_changed(self, site_id: str) -> None:
        self._gather(lambda waiting: waiting.workers.update({site_id: None}))

    def job_changed(self, job: JobJson) -> None:
        self._gather(lambda waiting: waiting.jobs.update({job["id"]: job}))

    def environment_changed(self, environment_id: str) -> None:
        self._gather(lambda waiting: waiting.environments.update({environment_id: None}))

    def packs_changed(self, names: Iterable[str]) -> None:
        changed = dict.fromkeys(names)
        self._gather(lambda waiting: waiting.packs.update(changed))

    def settings_changed(self) -> None:
        self._gather(lambda waiting: setattr(waiting, "settings", True))

    def nodes_changed(self, pack: str, nodes: Sequence[str], scripts: Sequence[str] = ()) -> None:
        self._gather(lambda waiting: waiting.nodes.append((pack, tuple(nodes), tuple(scripts))))

    # --- as a listener of the manager --------------------------------------------------------------------------------

    def on_site(self, site: SiteStatus) -> None:
        self.site_changed(site.id)
        before, now = self._site_uses.get(site.id, _Use()), _Use.of(site)
        if before != now:
            self._site_uses[site.id] = now
            for environment_id in sorted(before.environment_ids | now.environment_ids):
                self.environment_changed(environment_id)

    def on_job(self, job: JobSnapshot) -> None:
        self.build_changed(job)
        if self._build_states.get(job.id) is not job.state:
            self.environment_changed(job.environment_id)
            self._build_states[job.id] = job.state
        if job.has_ended:
            del self._build_states[job.id]

    def on_worker(self, site_id: str) -> None:
        self.worker_changed(site_id)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _gather(self, note: Callable[[_Waiting], object]) -> None:
        with self._lock:
            if self._closing.is_set():
                return
            note(self._waiting)
            if self._thread is None:
                self._thread = self._started()

    def _started(self) -> threading.Thread | None:
        """None when there is none to be had: what waits is told with the next change. Whoever changed something, a
        build or a dying worker, has better to do than to fail for it."""
        thread = threading.Thread(target=self._run, name="comfy-env events", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("Pages cannot be told of changes at the moment: %s", error)
            return None
        return thread

    def _run(self) -> None:
        while not self._closing.wait(GATHER_S):
            if self._is_behind():
                continue
            with self._lock:
                waiting, self._waiting = self._waiting, _Waiting()
                if waiting.is_empty():
                    self._thread = None
                    return
            self._tell(waiting)

    def _tell(self, waiting: _Waiting) -> None:
        if waiting.has_changes():
            for changes in self._changes(waiting):
                self._number_and_send(CHANGES_EVENT, changes)
        for pack, nodes, scripts in waiting.nodes:
            content = {"packs": [pack], "nodes": list(nodes), "scripts": list(scripts)}
            self._number_and_send(NODES_EVENT, content)

    def _changes(self, waiting: _Waiting) -> Iterator[Mapping[str, Any]]:
        """The contents of as many events as it takes. What is small is in the first of them."""
        things = list(self._things(waiting))
        for start in range(0, max(len(things), 1), MOST_IN_ONE_EVENT):
            if start:
                self._closing.wait(PAUSE_S)
                waiting = _Waiting()
            changed: dict[str, list[Any]] = {"sites": [], "builds": [], "workers": [], "jobs": []}
            for kind, payload in things[start : start + MOST_IN_ONE_EVENT]:
                changed[kind].append(payload)
            yield {
                **changed,
                "environments": list(waiting.environments),
                "packs": list(waiting.packs),
                "settings": waiting.settings,
            }

    def _things(self, waiting: _Waiting) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each with the list that it belongs to."""
        changed: list[tuple[str, Payload, Iterable[Any]]] = [
            ("sites", self._payloads.site, waiting.sites),
            ("builds", self._payloads.build, waiting.builds.values()),
            ("workers", self._payloads.worker, waiting.workers),
            ("jobs", lambda job: job, waiting.jobs.values()),
        ]
        for kind, payload, things in changed:
            for thing in things:
                made = self._made(payload, thing)
                if made is not None:
                    yield kind, made

    def _made(self, payload: Payload, thing: object) -> Mapping[str, Any] | None:
        try:
            return payload(thing)
        except Exception:  # one thing that cannot be shown must not hide the others
            log.exception("%r changed, but cannot be shown", thing)
            # Pages see the gap, ask for everything, and hear from the route what is wrong.
            self._sequence = next(self._numbers)
            return None

    def _number_and_send(self, event: str, content: Mapping[str, Any]) -> None:
        """The number is taken when the content is there: who has read it has what came before (see `sequence`)."""
        self._sequence = next(self._numbers)
        try:
            self._send(event, {"run": self.run, "sequence": self._sequence, **content})
        except Exception:  # somebody else's code, at this thread's boundary; pages see the gap and ask anew
            log.exception("%s number %d could not be sent", event, self._sequence)
