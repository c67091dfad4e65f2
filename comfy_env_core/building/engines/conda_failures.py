"""Why the conda packages could not be installed: what the driver says by kind, and what machine and channels answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.engines.availability import Target
from comfy_env_core.building.engines.integrity import damaged_in_cache
from comfy_env_core.building.engines.questions import Questions
from comfy_env_core.building.errors import BuildCause, BuildError, DamagedFiles
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store

_DOING = "Installing conda packages"
_CAUSES = {
    "ChecksumMismatch": BuildCause.CHECKSUM,
    "ConfigError": BuildCause.CONFIG,
    "InvalidChannelError": BuildCause.CONFIG,
    "InvalidMatchSpecError": BuildCause.CONFIG,
    "PermissionError": BuildCause.PERMISSION,
    "TooLittleSpace": BuildCause.DISK_FULL,
}
_SAID_CHARACTERS = 400


def explain_driver(
    outcome: Mapping[str, Any] | None,  # Any: JSON, as the driver's docstring says
    completed: Completed,
    plan: BuildPlan,
    directory: Path,
    store: Store,
    settings: UserSettings,
    report: Report,
    channel_urls: Mapping[str, str],
) -> BuildError:
    """The cause of a failure; `outcome` is the driver's last record, None if it died before it gave one.

    `channel_urls`: channel → a file that it has if it answers.
    """
    target = Target(plan.python, plan.platform)
    questions = Questions(_DOING, completed, settings, target, (directory, store.root), report)
    if outcome is not None and outcome["kind"] == "Unsolvable":
        return _unsolvable(outcome, plan, questions)
    if outcome is not None and outcome["kind"] in _CAUSES:
        return questions.error(_CAUSES[outcome["kind"]], _first_line(outcome))
    known = questions.about_the_machine() or by_channels(channel_urls, questions)
    if known is not None:
        return known
    damaged = damaged_in_cache(store.cache_dir / "conda" / "pkgs")
    if damaged:
        names = tuple(path.name.rsplit("-", 2)[0] for path in damaged)
        text = f"{_DOING} failed: what the cache holds of {', '.join(names)} is damaged."
        return DamagedFiles(names, text, tail=completed.tail())
    if outcome is None:
        return questions.error(
            BuildCause.INTERNAL, f"the installer ended with {completed.returncode} and no result."
        )
    # rattler gives one kind of error for a wrong file and for a broken transfer: only its words tell them apart.
    if "hash mismatch" in str(outcome["text"]).lower() or "sha256" in str(outcome["text"]).lower():
        return questions.error(BuildCause.CHECKSUM, "a package is not the one that was published.")
    return questions.error(BuildCause.NETWORK, _first_line(outcome))


def by_channels(channel_urls: Mapping[str, str], questions: Questions) -> BuildError | None:
    """A channel that does not answer."""
    for channel, url in channel_urls.items():
        trouble = questions.fetcher().trouble(url) if url.startswith("http") else None
        if trouble is not None:
            cause = BuildCause.NO_CHANNEL if trouble.cause is BuildCause.NO_SUCH_PACKAGE else trouble.cause
            return questions.error(cause, f"the conda channel {channel!r} does not answer. {trouble.message}")
    return None


def _unsolvable(outcome: Mapping[str, Any], plan: BuildPlan, questions: Questions) -> BuildError:
    channels = ", ".join(map(repr, plan.channels))
    if outcome["unknown"]:
        unknown = ", ".join(repr(spec.removesuffix(" *")) for spec in outcome["unknown"])
        return questions.error(
            BuildCause.NO_SUCH_PACKAGE, f"no package in {channels} fits {unknown} on {plan.platform.name}."
        )
    said = " ".join(str(outcome["text"]).split())
    said = f"{said[:_SAID_CHARACTERS]}…" if len(said) > _SAID_CHARACTERS else said
    return questions.error(
        BuildCause.CONFLICT,
        f"each of them can be had from {channels}, but not all together with what they need. "
        f"The solver says: {said}",
    )


def _first_line(outcome: Mapping[str, Any]) -> str:
    return str(outcome["text"]).splitlines()[0].rstrip(".") + "."
