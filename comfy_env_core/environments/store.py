"""Where environments live: `~/.ce/_env_<id>/`, with the caches beside them so that hard links work."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from comfy_env_core.environments.meta import Meta, read_meta

PREFIX_OF_NAME = "_env_"


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The directory of one environment. Nothing here is created by looking at it."""

    directory: Path

    @property
    def id(self) -> str:
        return self.directory.name.removeprefix(PREFIX_OF_NAME)

    @property
    def prefix(self) -> Path:
        """The prefix itself, at the place where pixi puts it, whichever engine fills it."""
        return self.directory / ".pixi" / "envs" / "default"

    @property
    def python(self) -> Path:
        """The environment's interpreter, whether conda or a venv laid the prefix out (they differ on Windows)."""
        if sys.platform != "win32":
            return self.prefix / "bin" / "python"
        conda, venv = self.prefix / "python.exe", self.prefix / "Scripts" / "python.exe"
        return venv if venv.exists() and not conda.exists() else conda

    @property
    def manifest_path(self) -> Path:
        return self.directory / "pixi.toml"

    @property
    def log_path(self) -> Path:
        return self.directory / "install.log"

    @property
    def meta_path(self) -> Path:
        return self.directory / "meta.json"

    @property
    def done_path(self) -> Path:
        return self.directory / ".done"

    def is_done(self) -> bool:
        """Whether the environment was filled and verified. Costs one stat; the file is written atomically, last."""
        return self.done_path.exists()

    def read_meta(self) -> Meta:
        """What the last successful build recorded. Raises `DamagedMeta` when it is missing or cannot be read."""
        return read_meta(self.meta_path)


@dataclasses.dataclass(frozen=True)
class Store:
    """All environments of this machine's user, shared by every ComfyUI. Nothing is created by looking at it."""

    root: Path

    @classmethod
    def default(cls, environ: Mapping[str, str] = os.environ) -> Store:
        """`COMFY_ENV_ROOT`, else `C:/ce` on Windows (paths in prefixes are long), else `~/.ce`."""
        chosen = environ.get("COMFY_ENV_ROOT", "").strip()
        if chosen:
            return cls(Path(os.path.abspath(os.path.expanduser(chosen))))
        return cls(Path("C:/ce") if sys.platform == "win32" else Path.home() / ".ce")

    def workspace(self, environment_id: str) -> Workspace:
        """The place of one environment. Ids are 8 hex digits; anything else raises ValueError, never a path."""
        if len(environment_id) != 8 or not set(environment_id) <= set("0123456789abcdef"):
            raise ValueError(f"An environment id is 8 hex digits, got {environment_id!r}.")
        return Workspace(self.root / f"{PREFIX_OF_NAME}{environment_id}")

    def workspaces(self) -> Iterator[Workspace]:
        """Every environment directory that exists, built or not, in the order of their ids."""
        for directory in sorted(self.root.glob(f"{PREFIX_OF_NAME}*")):
            if directory.is_dir() and not directory.is_symlink():
                yield Workspace(directory)

    @property
    def cache_dir(self) -> Path:
        return self.root / "cache"

    @property
    def engines_dir(self) -> Path:
        return self.root / "engines"

    @property
    def locks_dir(self) -> Path:
        return self.root / "locks"

    @property
    def logs_dir(self) -> Path:
        return self.root / "logs"

    @property
    def descriptions_dir(self) -> Path:
        return self.root / "descriptions"
