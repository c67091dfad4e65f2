"""What this machine and the servers answer when asked why a tool failed. Both engines ask, and speak the same words."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import shutil
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.distribution_names import likely_names
from comfy_env_core.building.engines.availability import Target, exists_for, newest_version, version_of
from comfy_env_core.building.engines.version_range import VersionRange
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.report import Report
from comfy_env_core.building.simple_index import IndexFile, offered_files, project_files
from comfy_env_core.building.user_settings import UserSettings

#: All questions to servers together: somebody waits for the answer, and the build has failed anyway.
_SERVERS_S = 20.0
_SILENCE_S = 5.0
_LITTLE_DISK_BYTES = 64 << 20
#: Looked at ten times a second, and a fast disk takes that much in between.
_LOW_WATER_BYTES = 128 << 20
_COMPILERS = ("cc", "gcc", "clang", "cl")
_NAMES_TRIED = 6


@dataclasses.dataclass(frozen=True)
class Asked:
    """A requirement that an index has to meet. `text` as people write it; `index` where it is pinned to one."""

    name: str
    range: str
    text: str
    index: str | None = None


@dataclasses.dataclass(frozen=True)
class Questions:
    """About one command that failed. `doing` begins the sentences: "Choosing Python packages".

    `settings` are the user's with the places that the plan adds; `directories`: where the command writes.
    """

    doing: str
    completed: Completed
    settings: UserSettings
    target: Target
    directories: tuple[Path, ...]
    report: Report

    def error(self, cause: BuildCause, what: str, remedy: str | None = None) -> BuildError:
        """The failure, with the command's last lines."""
        return BuildError(cause, f"{self.doing} failed: {what}", remedy, tail=self.completed.tail())

    def about_the_machine(self) -> BuildError | None:
        """No room, no right to write, no memory, or somebody's signal."""
        least = self.completed.least_free_bytes
        if least is not None and least < _LOW_WATER_BYTES:
            place = str(self.directories[0])
            return self.error(
                BuildCause.DISK_FULL, f"at one moment {least >> 20} MB were left on the disk of {place!r}."
            )
        for directory in self.directories:
            free = shutil.disk_usage(directory).free
            if free < _LITTLE_DISK_BYTES:
                return self.error(
                    BuildCause.DISK_FULL, f"{free >> 20} MB are left on the disk of {str(directory)!r}."
                )
            if not os.access(directory, os.W_OK):
                return self.error(BuildCause.PERMISSION, f"{str(directory)!r} may not be written.")
        if self.completed.ran_out_of_memory:
            return self.error(BuildCause.OUT_OF_MEMORY, "the system ran out of memory and ended a process.")
        if self.completed.returncode < 0:
            name = signal_name(-self.completed.returncode)
            return self.error(BuildCause.KILLED, f"{Path(self.completed.argv[0]).name} was ended by {name}.")
        return None

    def about_indexes(self, asked: Sequence[Asked]) -> BuildError | None:
        """Indexes that do not answer, names that none knows, versions and files that do not exist."""
        with concurrent.futures.ThreadPoolExecutor(4, "comfy-env-questions") as executor:
            offers = list(executor.map(self._offers, asked))
        failed = next((answer for answer in offers if isinstance(answer, BuildError)), None)
        if failed is not None:
            if failed.cause is BuildCause.CANCELLED:
                raise failed
            return self.error(failed.cause, failed.message, failed.remedy)
        pairs = [(one, files) for one, files in zip(asked, offers, strict=True) if isinstance(files, tuple)]
        unknown = [one for one, files in pairs if not files]
        if unknown:
            return self._unknown(unknown)
        return next((error for one, files in pairs if (error := self._unfit(one, files))), None)

    def not_built(self, what: str) -> BuildError:
        """A package that has to be built here, and was not."""
        place = f"{what} does not come ready-made for {self.target}, and building it from its source failed"
        path = self.settings.environ.get("PATH")
        if not any(shutil.which(name, path=path) for name in _COMPILERS):
            return self.error(BuildCause.NO_COMPILER, f"{place}; there is no compiler on this machine.")
        return self.error(BuildCause.SOURCE_BUILD, f"{place}.")

    def files(self, asked: Asked) -> tuple[IndexFile, ...]:
        """The files that meet the requirement and fit here; () also where no index answers."""
        offers = self._offers(asked)
        return tuple(
            file
            for file in (offers if isinstance(offers, tuple) else ())
            if VersionRange(asked.range).accepts(version_of(file)) and self.target.takes(file)
        )

    def fetcher(self) -> Fetcher:
        deadline = time.monotonic() + _SERVERS_S
        return Fetcher(self.settings, timeout_s=_SILENCE_S, deadline=deadline, check=self.report.check)

    def _offers(self, asked: Asked) -> tuple[IndexFile, ...] | BuildError:
        """The files of one project, () if no index knows it, the error if one does not answer."""
        try:
            if asked.index:
                return project_files(asked.index, asked.name, self.fetcher())
            return tuple(offered_files(asked.name, self.settings, self.fetcher(), is_strict=True))
        except BuildError as error:
            return error

    def _unknown(self, asked: Sequence[Asked]) -> BuildError:
        names = ", ".join(repr(one.name) for one in asked)
        close = [name for one in asked for name in self._close_names(one)]
        hint = f" There is {', '.join(map(repr, close))}: was that meant?" if close else ""
        return self.error(BuildCause.NO_SUCH_PACKAGE, f"no index knows {names}.{hint}")

    def _close_names(self, asked: Asked) -> Iterable[str]:
        for name in likely_names(asked.name)[:_NAMES_TRIED]:
            files = self._offers(dataclasses.replace(asked, name=name))
            if isinstance(files, tuple) and files:
                yield name

    def _unfit(self, asked: Asked, files: Sequence[IndexFile]) -> BuildError | None:
        wanted = [file for file in files if VersionRange(asked.range).accepts(version_of(file))]
        if not wanted:
            newest = newest_version(files)
            return self.error(
                BuildCause.NO_SUCH_PACKAGE,
                f"no release fits {asked.text!r}; the newest of {asked.name!r} is {newest}.",
            )
        if any(self.target.takes(file) for file in wanted):
            return None
        return self.error(
            BuildCause.NO_MATCHING_WHEEL,
            f"{asked.text!r} does not exist for {self.target}. {exists_for(wanted, asked.name, self.target)}",
        )


def signal_name(number: int) -> str:
    """ "SIGKILL", or "signal 99" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
