"""What a scan of the custom_nodes directories finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..config import ConfigError, EnvSpec, RootSpec


@dataclass(frozen=True)
class Pack:
    """One directory in a custom_nodes directory, under the path by which ComfyUI loads it (links not resolved).

    `name` is the directory's name, and unique in a scan: the second pack of a name, from another custom_nodes
    directory, is called "name~2".
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Site:
    """One isolated directory: the one that holds `config_path`. Either `spec` or `error` is set."""

    pack: Pack
    directory: Path
    config_path: Path
    spec: EnvSpec | None
    error: ConfigError | None

    @cached_property
    def id(self) -> str:
        """ "pack" for the pack's own directory, "pack/nodes/mesh" for one inside it, on every system with "/"."""
        inner = self.directory.relative_to(self.pack.path).as_posix()
        return self.pack.name if inner == "." else f"{self.pack.name}/{inner}"

    @property
    def is_root(self) -> bool:
        """Whether the whole pack is isolated."""
        return self.directory == self.pack.path


@dataclass(frozen=True)
class Skipped:
    """A pack or directory that was not looked into, named like a site; a custom_nodes directory by its path."""

    name: str
    reason: str


@dataclass(frozen=True)
class Mistake:
    """A file by which somebody meant to isolate something, and why it does not. `remedy` says what to do."""

    path: Path
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}. {self.remedy}."


@dataclass(frozen=True)
class Scan:
    """All that was found, packs and sites in the order of their names.

    `roots` and `root_errors` are keyed like a site's id: "pack" for a `comfy-env-root.toml` at the top of the pack.
    `packs` holds those without any configuration as well.
    """

    packs: tuple[Pack, ...]
    sites: tuple[Site, ...]
    roots: Mapping[str, RootSpec]
    root_errors: Mapping[str, ConfigError]
    skipped: tuple[Skipped, ...]
    duration_s: float
    mistakes: tuple[Mistake, ...] = ()

    def nested(self, site: Site) -> tuple[Path, ...]:
        """The directories of the sites inside `site`, whose files are not its own."""
        # Names of packs are unique in a scan, and compared in no time; paths are not.
        of_the_pack = [
            other for other in self.sites if other.pack.name == site.pack.name and other is not site
        ]
        return tuple(other.directory for other in of_the_pack if site.directory in other.directory.parents)
