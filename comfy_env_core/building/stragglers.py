"""Ending what a tool has started and that has left its process group: daemons, sessions of their own, orphans.

The operating system forgets who started a process once its parent is gone. So every command gets a variable of its own
in its environment, which all that it starts inherits, and whoever still carries it is ended. (Jenkins has found the
children of a build that way for years.) What left the group *and* cleared its environment is found while its parents
live. Windows needs none of this: nothing leaves a job object.
"""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Mapping

import psutil

log = logging.getLogger("comfy-env.building")

_VARIABLE = "COMFY_ENV_COMMAND"
#: Between looking and killing a process may start another; more rounds than this mean that it does nothing else.
_ROUNDS = 20


class Marked:
    """One command's mark. `environment` is what to start it with."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        self.environment = {**environment, _VARIABLE: self._mark}

    def kill(self, descendants: list[psutil.Process]) -> None:
        """Ends the given processes and every one with our mark, at once (SIGKILL). Call after the group is dead."""
        if sys.platform == "win32":
            return
        _kill(descendants)
        for _ in range(_ROUNDS):
            found = [process for process in psutil.process_iter() if self._is_marked(process)]
            if not found:
                return
            _kill(found)
        log.warning("Processes of a build start each other faster than they can be ended: %s", found)

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_VARIABLE) == self._mark and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):  # another user's, or gone meanwhile
            return False


def descendants_of(pid: int) -> list[psutil.Process]:
    """What `pid` has started and what that has started, as far as parents are alive. Call before anything is killed."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()  # psutil compares the time of birth first: a reused number is not hit
        except psutil.Error as error:
            log.debug("Process %d was not killed: %s", process.pid, error)
