"""Where a package can be had, and for which Pythons and systems; why not here, if it cannot."""

from __future__ import annotations

import platform as system
from collections.abc import Iterator, Sequence

from comfy_env_core.building.distribution_names import likely_names
from comfy_env_core.building.engines.availability import (
    Target,
    exists_for,
    newest_version,
    version_of,
)
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.indexes import TORCH_FAMILY, torch_index
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.simple_index import (
    IndexFile,
    normalised,
    offered_files,
    project_files,
)
from comfy_env_core.building.user_settings import UserSettings, redact
from comfy_env_core.doctor.finding import Finding, fail, ok, warn
from comfy_env_core.doctor.surroundings import Surroundings

_TIMEOUT_S = 20.0
_MOST_GUESSES = 4
_SERIES = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


def check_package(surroundings: Surroundings, name: str) -> Iterator[Finding]:
    """One finding for each index, then one that sums up for this machine."""
    settings = surroundings.settings
    everything: list[IndexFile] = []
    for index in _indexes(settings, name):
        try:
            files = project_files(index, name, Fetcher(settings, timeout_s=_TIMEOUT_S))
        except BuildError as error:
            yield warn("index", error.message, error.remedy)
            continue
        everything += files
        yield _on_index(redact(index), name, files)
    if everything:
        yield from _sum_up(name, everything)
    else:
        yield _unknown(name, settings)


def _indexes(settings: UserSettings, name: str) -> list[str]:
    named = [settings.main_index_url, *settings.extra_index_urls]
    if normalised(name) in TORCH_FAMILY:
        named.append(torch_index(Platform.current(), HostPython.current(), settings)[0])
    return list(dict.fromkeys(url for url in named if url is not None))


def _on_index(index: str, name: str, files: Sequence[IndexFile]) -> Finding:
    if not files:
        return ok("index", f"{index} does not have {name}")
    versions = {version_of(file) for file in files}
    return ok("index", f"{index} has {len(versions)} versions of {name}, the newest {newest_version(files)}")


def _sum_up(name: str, files: Sequence[IndexFile]) -> Iterator[Finding]:
    platform = Platform.current()
    own = Target(system.python_version(), platform)
    here = [file for file in files if own.takes(file)]
    wheels = [file for file in here if file.filename.endswith(".whl")]
    if wheels:
        yield ok(name, f"{newest_version(wheels)} has a wheel for {own}")
    elif here:
        text = f"for {own} there is source code alone ({newest_version(here)}), which has to be compiled here"
        yield warn(name, text, f"{exists_for(files, name, own)} A compiler is needed otherwise.")
    others = [series for series in _SERIES if _has_wheel(files, Target(series, platform))]
    if others:
        yield ok("Pythons", f"on {platform.name} there are wheels for Python {', '.join(others)}")
    if not here:
        remedy = (
            f'Ask for one of them in the file: python = "{others[-1]}".' if others else "Look on conda-forge."
        )
        yield fail(name, f"nothing runs on {own}. {exists_for(files, name, own)}", remedy)


def _unknown(name: str, settings: UserSettings) -> Finding:
    """Names that are easily mixed up are looked for, since only an index knows which of them exist."""
    fetcher = Fetcher(settings, timeout_s=_TIMEOUT_S)
    guesses = likely_names(name)[:_MOST_GUESSES]
    meant = next((other for other in guesses if _is_offered(other, settings, fetcher)), None)
    if meant is not None:
        remedy = f"Did you mean {meant}? The name to install may differ from the one to import."
    else:
        remedy = "Check the name (the one to install may differ from the one to import), or look for it on conda-forge."
    return fail(name, "none of your indexes has it", remedy)


def _is_offered(name: str, settings: UserSettings, fetcher: Fetcher) -> bool:
    try:
        return next(offered_files(name, settings, fetcher), None) is not None
    except BuildError:
        return False  # no index answered, which is told already


def _has_wheel(files: Sequence[IndexFile], target: Target) -> bool:
    return any(file.filename.endswith(".whl") and target.takes(file) for file in files)
