"""One generation of an environment: the directory that one build fills and that workers run in."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from pathlib import Path

from comfy_env_core.environments.meta import Meta, read_meta

PREFIX_OF_NAME = "_env_"


@dataclasses.dataclass(frozen=True)
class Workspace:
    """`_env_<id>/<number>/`, a pixi workspace of its own. Nothing here is created by looking at it."""

    directory: Path

    @functools.cached_property
    def environment_id(self) -> str:
        return self.directory.parent.name.removeprefix(PREFIX_OF_NAME)

    @functools.cached_property
    def number(self) -> int:
        """Which generation of its environment it is; later ones have higher numbers."""
        return int(self.directory.name)

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
    def meta_path(self) -> Path:
        return self.directory / "meta.json"

    @property
    def done_path(self) -> Path:
        return self.directory / ".done"

    def is_done(self) -> bool:
        """Whether it was filled and verified. Costs one stat; the file is written atomically, last."""
        return os.path.exists(self.done_path)

    def read_meta(self) -> Meta:
        """What its build recorded. Raises `DamagedMeta` when it is missing or cannot be read."""
        return read_meta(self.meta_path)

    def discard_done(self) -> None:
        """From here on it counts as unfinished, whatever interrupts us next. Raises OSError."""
        self.done_path.unlink(missing_ok=True)
        self.meta_path.unlink(missing_ok=True)
