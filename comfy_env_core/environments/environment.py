"""One environment: its generations, and the pointer that says which of them workers run in.

A prefix works at its own place only. So a rebuild fills a generation beside the one that serves, and what switches is
`current.json`, one small file that is replaced atomically when the new one is verified: a kill at any moment leaves the
old generation serving. The one before stays for rolling back until the next success.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from pathlib import Path

from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.workspace import PREFIX_OF_NAME, Workspace

log = logging.getLogger("comfy-env")


class NothingToRollBackTo(Exception):
    """The environment has no earlier generation."""


@dataclasses.dataclass(frozen=True)
class Environment:
    """`_env_<id>/`. What changes it wants the build lock held. Nothing here is created by looking at it."""

    directory: Path

    @classmethod
    def of(cls, workspace: Workspace) -> Environment:
        """The environment that a generation belongs to."""
        return cls(workspace.directory.parent)

    @functools.cached_property
    def id(self) -> str:
        return self.directory.name.removeprefix(PREFIX_OF_NAME)

    @functools.cached_property
    def log_path(self) -> Path:
        """The log of the last build, whatever became of it."""
        return self.directory / "install.log"

    @property
    def pointer_path(self) -> Path:
        return self.directory / "current.json"

    def generation(self, number: int) -> Workspace:
        return Workspace(self.directory / str(number))

    def generations(self) -> tuple[Workspace, ...]:
        """All that have a directory, finished or not, the oldest first."""
        try:
            names = [entry.name for entry in self.directory.iterdir() if entry.is_dir()]
        except (FileNotFoundError, PermissionError):
            return ()
        return tuple(
            self.generation(number) for number in sorted(int(name) for name in names if name.isdecimal())
        )

    def current(self) -> Workspace | None:
        """The generation that workers start in, None when there is none. Costs one read and one stat."""
        return self._if_done(self._pointer()[0])

    def previous(self) -> Workspace | None:
        """The one that `roll_back` would return to, None when there is none."""
        return self._if_done(self._pointer()[1])

    def is_done(self) -> bool:
        return self.current() is not None

    def begin_generation(self) -> Workspace:
        """An empty directory for the next build. Raises OSError."""
        number = max((workspace.number for workspace in self.generations()), default=0) + 1
        workspace = self.generation(number)
        workspace.directory.mkdir(parents=True)
        return workspace

    def switch_to(self, workspace: Workspace) -> None:
        """Workers start in `workspace` from now on; what was current can be rolled back to. Raises OSError.

        Raises ValueError for one that is not done.
        """
        if not workspace.is_done():
            raise ValueError(f"Generation {workspace.number} of environment {self.id!r} is not done.")
        former = [one for one in (self.current(), self.previous()) if one not in (None, workspace)]
        self._point_to(workspace, former[0] if former else None)

    def roll_back(self) -> Workspace:
        """Exchanges the current generation and the one before, which it returns: twice changes nothing.

        Raises `NothingToRollBackTo`, and OSError.
        """
        previous = self.previous()
        if previous is None:
            raise NothingToRollBackTo(
                f"Environment {self.id!r} has no earlier build to go back to: one is there after a rebuild, until it "
                "is collected. Rebuild the environment instead."
            )
        self._point_to(previous, self.current())
        return previous

    def recover(self) -> None:
        """Where the pointer is lost, damaged or leads nowhere, the newest generation that is done becomes current.

        Also when a build was killed between its last two steps. Raises OSError.
        """
        if self.current() is not None:
            return
        done = [workspace for workspace in self.generations() if workspace.is_done()]
        if done:
            log.warning("Environment %s: generation %d serves again.", self.id, done[-1].number)
            self.switch_to(done[-1])

    def _point_to(self, current: Workspace, previous: Workspace | None) -> None:
        numbers = {"current": current.number, "previous": previous.number if previous is not None else None}
        write_atomically(self.pointer_path, json.dumps(numbers).encode())

    def _pointer(self) -> tuple[int | None, int | None]:
        """The numbers of the current generation and of the one before; a file that is damaged or hidden names none."""
        try:
            numbers = json.loads(self.pointer_path.read_bytes())
            current, previous = numbers["current"], numbers["previous"]
            if not isinstance(current, int) or not isinstance(previous, (int, type(None))):
                raise TypeError(f"not numbers: {current!r}, {previous!r}")
        except (FileNotFoundError, PermissionError):
            return None, None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("The pointer %s is damaged (%r).", self.pointer_path, error)
            return None, None
        return current, previous

    def _if_done(self, number: int | None) -> Workspace | None:
        if number is None:
            return None
        workspace = self.generation(number)
        return workspace if workspace.is_done() else None
