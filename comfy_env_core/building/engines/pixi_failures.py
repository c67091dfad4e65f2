"""Why `pixi install` failed. pixi has one exit code for all, so facts are asked for: disk, channel, index."""

from __future__ import annotations

import shutil
import time

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.engines.conda_phase import channel_probe_url
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.simple_index import offered_files, project_files
from comfy_env_core.building.user_settings import UserSettings, redact
from comfy_env_core.config import Requirement
from comfy_env_core.environments.store import Workspace

_QUESTIONS_S = 20.0
_LITTLE_DISK_BYTES = 64 << 20


def explain(
    plan: BuildPlan, workspace: Workspace, completed: Completed, settings: UserSettings
) -> BuildError:
    """The cause as far as facts tell it; pixi's own words are in the tail."""
    tail = tuple(redact(line) for line in completed.tail())
    if completed.returncode < 0:
        return BuildError(
            BuildCause.KILLED,
            f"pixi was ended by signal {-completed.returncode}.",
            "Most often the system ran out of memory: close other programs and build again.",
            tail=tail,
        )
    if shutil.disk_usage(workspace.directory).free < _LITTLE_DISK_BYTES:
        return BuildError(
            BuildCause.DISK_FULL,
            f"Filling {str(workspace.prefix)!r} failed: the disk is full.",
            "Make room or move the store with COMFY_ENV_ROOT, then build again.",
            tail=tail,
        )
    fetcher = Fetcher(settings, timeout_s=5.0, deadline=time.monotonic() + _QUESTIONS_S)
    for channel in plan.channels:
        if not fetcher.answers(channel_probe_url(channel, settings.conda_mirrors)):
            return BuildError(
                BuildCause.NETWORK,
                f"Building with pixi failed, and the conda channel {channel!r} does not answer.",
                "Check the connection and the mirrors in pixi's configuration, then build again.",
                tail=tail,
            )
    return _by_index(plan, settings, fetcher, tail) or BuildError(
        BuildCause.CONFLICT,
        f"Building with pixi failed (exit code {completed.returncode}): its last lines say what does not fit.",
        f"Change the versions in {str(plan.spec.path)!r} accordingly, then build again.",
        tail=tail,
    )


def _by_index(
    plan: BuildPlan, settings: UserSettings, fetcher: Fetcher, tail: tuple[str, ...]
) -> BuildError | None:
    """A PyPI name that no index knows, or an index that does not answer."""
    named = settings.with_places(
        {
            "UV_DEFAULT_INDEX": str(plan.pypi_options.get("index-url", "")),
            "UV_INDEX": " ".join(plan.pypi_options.get("extra-index-urls", ())),
            "UV_FIND_LINKS": ",".join(settings.find_links),
        }
    )
    for name, requirement in plan.pypi.items():
        if _names_a_place(requirement):
            continue
        index = requirement.get("index") if not isinstance(requirement, str) else None
        try:
            files = (
                project_files(index, name, fetcher)
                if index
                else tuple(offered_files(name, named, fetcher, is_strict=True))
            )
        except BuildError as error:
            return BuildError(BuildCause.NETWORK, error.message, error.remedy, tail=tail)
        if not files:
            return BuildError(
                BuildCause.NO_SUCH_PACKAGE,
                f"Building with pixi failed: no package index knows {name!r}.",
                f"Correct the name under [pypi-dependencies] in {str(plan.spec.path)!r}, or add the index that has it.",
                tail=tail,
            )
    return None


def _names_a_place(requirement: Requirement) -> bool:
    return not isinstance(requirement, str) and bool({"git", "url", "path"} & requirement.keys())
