"""Where environments live: `~/.ce/_env_<id>/`, with the caches beside them so that hard links work."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.home import user_home
from comfy_env_core.environments.place import ensure_reachable
from comfy_env_core.environments.workspace import PREFIX_OF_NAME, Workspace

__all__ = ["Environment", "Store", "Workspace", "is_id"]

ROOT_VARIABLE = "COMFY_ENV_ROOT"


@dataclasses.dataclass(frozen=True)
class Store:
    """All environments of this machine's user, shared by every ComfyUI. Nothing is created by looking at it."""

    root: Path

    @classmethod
    def default(cls, environ: Mapping[str, str] = os.environ) -> Store:
        """`COMFY_ENV_ROOT`, else `C:/ce` on Windows (paths in prefixes are long), else `~/.ce`.

        Raises `StoreUnreachable` when it was moved to a disk that is not there now.
        """
        # `set COMFY_ENV_ROOT="D:\ce"` keeps the quotes in the value.
        chosen = environ.get(ROOT_VARIABLE, "").strip().strip('"')
        root = Path(os.path.abspath(os.path.expanduser(chosen))) if chosen else default_root()
        ensure_reachable(root)
        return cls(root)

    def environment(self, environment_id: str) -> Environment:
        """The place of one environment. Ids are 8 hex digits; anything else raises ValueError, never a path."""
        if not is_id(environment_id):
            raise ValueError(f"An environment id is 8 hex digits, got {environment_id!r}.")
        return _environment(self.root, environment_id)

    def environments(self) -> Iterator[Environment]:
        """Every environment that has a directory, built or not, in the order of their ids.

        None where the store is missing or may not be read.
        """
        try:
            with os.scandir(self.root) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for name in sorted(names):
            environment_id = name.removeprefix(PREFIX_OF_NAME)
            if environment_id != name and is_id(environment_id):
                yield _environment(self.root, environment_id)

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
    def installs_dir(self) -> Path:
        return self.root / "installs"

    @property
    def settings_path(self) -> Path:
        return self.root / "settings.json"

    @property
    def descriptions_dir(self) -> Path:
        return self.root / "descriptions"


def default_root() -> Path:
    """Where the store lies if nobody says."""
    return Path("C:/ce") if sys.platform == "win32" else user_home() / ".ce"


def is_id(text: str) -> bool:
    """Whether it could be the id of an environment: 8 hex digits."""
    return len(text) == 8 and _HEX_DIGITS.issuperset(text)


_HEX_DIGITS = frozenset("0123456789abcdef")


@functools.lru_cache(maxsize=4096)
def _environment(root: Path, environment_id: str) -> Environment:
    """The same each time: lists of many are made often, and joining paths would be most of it."""
    return Environment(root / f"{PREFIX_OF_NAME}{environment_id}")
