"""Which isolated directory a path belongs to, however the path is written."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType
from typing import Protocol


class ModuleProvider(Protocol):
    """Fills the module that stands in the host for an isolated file or directory.

    `location` begins with the pack's own path as the scan found it, also when the host came by another spelling.
    """

    def provide(self, module: ModuleType, location: Path) -> None: ...


@dataclasses.dataclass(frozen=True)
class Place:
    """A path at or below the isolated `directory`, written with that directory's own spelling."""

    provider: ModuleProvider
    directory: Path
    location: Path

    def at(self, name: str) -> Place:
        return dataclasses.replace(self, location=self.location / name)

    def with_ending(self, ending: str) -> Place:
        return dataclasses.replace(self, location=self.location.with_name(self.location.name + ending))

    def is_top_level(self, names: Collection[str]) -> bool:
        """Whether it is one of the files `names` directly in the isolated directory."""
        return self.location.name in names and self.location.parent == self.directory


class IsolatedPaths:
    """The isolated directories; the innermost one counts.

    Paths are compared as written, with the directories' spelling from the scan and with all links resolved; one that
    fits neither way and has a directory's name in it is resolved as well.
    """

    def __init__(self, providers: Iterable[tuple[Path, ModuleProvider]]) -> None:
        self._directories: dict[str, tuple[Path, ModuleProvider]] = {}
        for directory, provider in providers:
            for spelling in {os.path.abspath(directory), os.path.realpath(directory)}:
                self._directories[os.path.normcase(spelling)] = (directory, provider)
        self._inside = tuple(directory + os.sep for directory in self._directories)
        self._names = frozenset(os.path.basename(directory) for directory in self._directories)
        self._parents = frozenset(os.path.dirname(directory) for directory in self._directories)
        self._entries: dict[str, bool] = {}
        self._filled: weakref.WeakSet[ModuleType] = weakref.WeakSet()

    def place_of(self, path: str) -> Place | None:
        """Where in which isolated directory an absolute path lies; None for all others."""
        wanted = os.path.normcase(path)
        if not self._is_inside(wanted):
            # Thousands of modules pass here at a start; resolving links takes longer than all the rest of it.
            if self._names.isdisjoint(wanted.split(os.sep)):
                return None
            path = os.path.realpath(path)
            wanted = os.path.normcase(path)
            if not self._is_inside(wanted):
                return None
        length = len(wanted)
        while wanted not in self._directories:
            wanted = os.path.dirname(wanted)
        directory, provider = self._directories[wanted]
        below = path[len(wanted) :].lstrip(os.sep) if len(wanted) < length else ""
        return Place(provider, directory, directory / below)

    def provider_of(self, path: str) -> ModuleProvider | None:
        place = self.place_of(path)
        return place.provider if place is not None else None

    def fill(self, module: ModuleType, place: Place) -> None:
        """Has the provider fill `module`, which stands for the file or folder from now on."""
        self._filled.add(module)
        place.provider.provide(module, place.location)

    def is_filled(self, module: ModuleType) -> bool:
        return module in self._filled

    def leads_in(self, entry: str) -> bool:
        """Whether modules found through this entry of `sys.path` may be isolated ones: a quick 'no' for nearly all."""
        known = self._entries.get(entry)
        if known is None:
            if not isinstance(entry, str):  # Python ignores it, too
                return False
            path = os.path.abspath(entry)
            known = (
                self.place_of(path) is not None
                or os.path.normcase(path) in self._parents
                or os.path.normcase(os.path.realpath(path)) in self._parents
            )
            if os.path.isabs(entry):  # what another means depends on the current directory
                self._entries[entry] = known
        return known

    def _is_inside(self, wanted: str) -> bool:
        return wanted in self._directories or wanted.startswith(self._inside)
