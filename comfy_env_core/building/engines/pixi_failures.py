"""Why `pixi install` failed. pixi has one exit code for all, so facts are asked for: machine, channels, indexes."""

from __future__ import annotations

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.engines.availability import Target
from comfy_env_core.building.engines.conda_failures import by_channels
from comfy_env_core.building.engines.conda_phase import channel_probe_url
from comfy_env_core.building.engines.questions import Asked, Questions
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Report
from comfy_env_core.building.requirements import range_of
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Workspace


def explain(
    plan: BuildPlan, workspace: Workspace, completed: Completed, settings: UserSettings, report: Report
) -> BuildError:
    """The cause as far as facts tell it; pixi's own words are in the tail."""
    questions = Questions(
        "Building with pixi",
        completed,
        settings.with_places(
            {
                "UV_DEFAULT_INDEX": str(plan.pypi_options.get("index-url", "")),
                "UV_INDEX": " ".join(plan.pypi_options.get("extra-index-urls", ())),
                "UV_FIND_LINKS": ",".join(settings.find_links),
            }
        ),
        Target(plan.python, plan.platform),
        (workspace.directory,),
        report,
    )
    return (
        questions.about_the_machine()
        or by_channels({c: channel_probe_url(c, settings.conda_mirrors) for c in plan.channels}, questions)
        or questions.about_indexes(_asked_of_indexes(plan))
        or _by_lock(workspace, questions)
    )


def _by_lock(workspace: Workspace, questions: Questions) -> BuildError:
    """pixi writes its lock when it has chosen all versions, and only then downloads and installs."""
    code = questions.completed.returncode
    if (workspace.directory / "pixi.lock").exists():
        return questions.error(
            BuildCause.NETWORK,
            f"pixi ended with {code} after it had chosen all versions. Most likely a download broke off; its last "
            "lines say more.",
        )
    return questions.error(
        BuildCause.CONFLICT, f"pixi ended with {code}; its last lines say what does not fit."
    )


def _asked_of_indexes(plan: BuildPlan) -> list[Asked]:
    asked = []
    for name, requirement in plan.pypi.items():
        versions = range_of(requirement)
        has_condition = not isinstance(requirement, str) and "env-markers" in requirement
        if versions is None or has_condition:  # it names a place, or may not be wanted here
            continue
        versions = "" if versions.strip() == "*" else versions.strip()
        index = requirement.get("index") if not isinstance(requirement, str) else None
        asked.append(Asked(name, versions or "*", f"{name}{versions}", index))
    return asked
