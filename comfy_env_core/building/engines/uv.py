"""The uv program of the embedded engine, run with our cache and without any configuration but ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from comfy_env_core.building.commands import Completed, run_logged
from comfy_env_core.building.report import Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store
from comfy_env_core.processes import clean_environment

_TIMEOUT_S = 3 * 3600.0


@dataclasses.dataclass(frozen=True)
class Uv:
    """`program` with the user's network settings, the store's cache, and no search for configuration or interpreters.

    The cache lies beside the environments because hard links cannot cross file systems.
    """

    program: Path
    store: Store
    settings: UserSettings

    def run(
        self,
        arguments: Sequence[str | Path],
        *,
        report: Report,
        cwd: Path,
        extra: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """Runs uv to its end, its lines going to the log or to `on_line`. `extra` variables outrank the settings."""
        argv = [str(self.program), *(str(argument) for argument in arguments)]
        environment = self.environment(extra or {})
        return run_logged(
            argv, env=environment, cwd=cwd, report=report, timeout_s=_TIMEOUT_S, on_line=on_line
        )

    @property
    def cache_dir(self) -> Path:
        return self.store.cache_dir / "uv"

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        own = {
            "UV_CACHE_DIR": str(self.cache_dir),
            "UV_NO_CONFIG": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_PYTHON_INSTALL_DIR": str(managed_pythons(self.store)),
            "UV_PREVIEW_FEATURES": "pylock",
            "UV_CUSTOM_COMPILE_COMMAND": "comfy-env manager",
            "UV_LINK_MODE": self.settings.link_mode or "",
            "NO_COLOR": "1",
        }
        told = {**self.settings.uv_environment(), **own, **extra}
        return clean_environment(
            self.settings.environ, {name: value for name, value in told.items() if value}
        )


def managed_pythons(store: Store) -> Path:
    """Where interpreters go that uv downloads for us."""
    return store.root / "pythons"
