"""One site in this process: its state, what the host has asked of it, and what is known of its nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from comfy_env_core.config import HostNeed
from comfy_env_core.discovery import Site
from comfy_env_core.environments.states import SITE_MOVES, SiteState
from comfy_env_core.environments.store import Environment, Workspace
from comfy_env_core.sites.failure import SiteFailure
from comfy_env_core.sites.record import SiteRecord
from comfy_env_core.sites.status import SiteStatus

Description = Mapping[str, Any]


class SiteRuntime:
    """Thread-safe. The manager moves it along; the host's import hooks ask it for descriptions.

    - `environment`: the one that the site's file asks for now, None before it is planned.
    - `serving`: the generation that its nodes run in: the current one of `environment` once it is ready, before that
      the one of the last description's environment as long as it still exists.
    - `notice`: what the user should know of nodes that run all the same.
    - `left_out`: packages that its environment does without, because they need a GPU which is not there.
    """

    def __init__(self, site: Site, pack_module_name: str) -> None:
        self.site = site
        self.pack_module_name = pack_module_name
        self.state = SiteState.UNBUILT
        self.failure: SiteFailure | None = None
        self.notice: str | None = None
        self.left_out: tuple[str, ...] = ()
        self.environment: Environment | None = None
        self.serving: Workspace | None = None
        self.record: SiteRecord | None = None
        self.host_need = HostNeed.NONE
        self.plan_key = ""
        self.source = ""
        self.wanted: set[str] = set()
        self.on_wanted: Callable[[SiteRuntime], None] = lambda site: None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    @property
    def id(self) -> str:
        return self.site.id

    @property
    def is_root(self) -> bool:
        return self.site.is_root

    @property
    def own_module_name(self) -> str:
        """The module that the site's directory is."""
        return self.module_name_of(self.site.directory)

    def module_name_of(self, location: Path) -> str:
        """The worker's name for the file or directory `location` below the pack: the pack's root name and the way down.

        It does not depend on the name that the host imports it by. A dot inside a name is written as ComfyUI does.
        """
        relative = location.relative_to(self.site.pack.path)
        parts = list(relative.parts[:-1])
        if relative.name and relative.name != "__init__.py":
            parts.append(relative.name.removesuffix(".py"))
        return ".".join([self.pack_module_name, *(part.replace(".", "_x_") for part in parts)])

    def move(self, target: SiteState, failure: SiteFailure | None = None) -> None:
        """Changes the state by the table. `failure` belongs to `FAILED` and is cleared by every other state."""
        with self._changed:
            self.state = SITE_MOVES.move(self.state, target)
            self.failure = failure
            self._changed.notify_all()

    def adopt(self, record: SiteRecord, workspace: Workspace) -> None:
        """Takes over what a worker in `workspace` said: calls go there from now on."""
        with self._changed:
            self.record = record
            self.left_out = tuple(record.left_out)
            self.serving = workspace
            self.notice = None
            self._changed.notify_all()

    def description(self, module: str) -> Description | None:
        """What is known of the module, also while its environment is being rebuilt; None when nothing is."""
        record = self.record
        return record.descriptions.get(module) if record is not None else None

    def describe_for_host(self, module: str) -> Description | None:
        """The same, remembering that the host wants this module described from now on."""
        with self._lock:
            known = self.description(module)
            is_new = module not in self.wanted
            self.wanted.add(module)
        if known is None and is_new:
            self.on_wanted(self)
        return known

    @property
    def has_torch(self) -> bool:
        """Whether the serving environment holds torch, so that its nodes return tensors by themselves."""
        return self.record is not None and self.record.has_torch

    def environment_ids(self) -> set[str]:
        """The environment that its file asks for, and the one that its nodes run in."""
        ids = {self.environment.id} if self.environment is not None else set()
        return ids | ({self.serving.environment_id} if self.serving is not None else set())

    def modules_to_describe(self) -> tuple[str, ...]:
        """What the host has asked for, or, as long as it has not asked, the site's own module."""
        with self._lock:
            return tuple(sorted(self.wanted)) or (self.own_module_name,)

    def was_described_in(self, workspace: Workspace | None) -> bool:
        """Whether it was a worker in `workspace` that described the nodes."""
        record = self.record
        return (
            record is not None
            and workspace is not None
            and (record.environment_id, record.generation) == (workspace.environment_id, workspace.number)
        )

    def has_described_all(self) -> bool:
        """Whether the record is up to date with the source and with what the host wants."""
        record = self.record
        return (
            record is not None
            and record.plan_key == self.plan_key
            and record.source == self.source
            and all(module in record.descriptions for module in self.modules_to_describe())
        )

    def is_complete(self) -> bool:
        """Whether nothing is left to do: built, and everything that the host wants is described."""
        return (
            self.state is SiteState.READY and self.was_described_in(self.serving) and self.has_described_all()
        )

    def wait_until_settled(self, timeout_s: float | None) -> bool:
        """Waits until the site is ready or failed. False when the time ran out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.state in (SiteState.READY, SiteState.FAILED), timeout_s
            )

    def wait_for_description(self, module: str, timeout_s: float | None = None) -> Description | None:
        """Waits until the module is described; None when the site failed instead, or the time ran out."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.description(module) is not None or self.state is SiteState.FAILED, timeout_s
            )
            return self.description(module)

    def status(self) -> SiteStatus:
        with self._lock:
            environment, serving, record, spec = self.environment, self.serving, self.record, self.site.spec
            return SiteStatus(
                id=self.id,
                pack=self.site.pack.name,
                state=self.state,
                failure=self.failure,
                notice=self.notice,
                environment_id=environment.id if environment is not None else None,
                nodes=record.node_names() if record is not None else (),
                log_path=environment.log_path if environment is not None else None,
                config_path=self.site.config_path,
                left_out=self.left_out or (tuple(record.left_out) if record is not None else ()),
                warnings=tuple(warning.within for warning in spec.warnings) if spec is not None else (),
                python=record.python if record is not None and self.was_described_in(serving) else None,
                serving=serving,
                is_root=self.is_root,
            )
