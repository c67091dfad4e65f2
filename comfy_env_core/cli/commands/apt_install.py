"""`apt-install`: the system packages that packs ask for: which are missing, and installing them."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from typing import Any

from comfy_env_core.building.errors import BuildError
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.cli.spoken_report import SpokenReport
from comfy_env_core.cli.targets import packs_named
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.survey import Survey, survey
from comfy_env_core.prerequisites.system.choosing import this_system
from comfy_env_core.prerequisites.system.contract import InstallPlan, SystemPackages

log = logging.getLogger("comfy-env")


@dataclasses.dataclass(frozen=True)
class Findings:
    """What is asked for, and how it would be installed; `system` is None where nobody can tell."""

    survey: Survey
    system: SystemPackages | None
    plan: InstallPlan

    @property
    def is_unclear(self) -> bool:
        return bool(self.survey.unreadable) or any(
            needs.system is not None and needs.system.problem for needs in self.survey.packs
        )


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packs", metavar="PACK", nargs="*", help="a folder in custom_nodes; default: all")
    parser.add_argument("--dry-run", action="store_true", help="say what is missing and stop")


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED when something could not be installed, or nobody can tell whether it is there."""
    findings = _find(options.packs, context)
    error: BuildError | None = None
    if not context.wants_json:
        _tell(findings, context)
    if not options.dry_run and findings.system is not None and findings.survey.missing_system_packages:
        try:
            findings.system.install(findings.survey.missing_system_packages, SpokenReport())
        except BuildError as raised:
            error = raised
            log.error("%s", error)
    if context.wants_json:
        context.print_json(_as_json(findings, error, is_dry=options.dry_run))
    elif not options.dry_run and findings.survey.missing_system_packages and error is None:
        context.say("Installed. Restart ComfyUI, so that it finds them.")
    return FAILED if error is not None or findings.is_unclear else FINE


def _find(names: list[str], context: Context) -> Findings:
    packs = packs_named(context.scan, names)
    found = survey(context.scan, Addresses(), packs)
    system = this_system()
    missing = found.missing_system_packages
    plan = system.plan(missing) if system is not None else InstallPlan((), (), ())
    return Findings(found, system, plan)


def _tell(findings: Findings, context: Context) -> None:
    asking = [needs for needs in findings.survey.packs if needs.system is not None]
    for needs in asking:
        assert needs.system is not None  # just selected
        if needs.system.problem:
            context.say(f"{needs.pack.name}: {needs.system.problem}.")
        elif needs.system.missing:
            context.say(f"{needs.pack.name} misses {', '.join(needs.system.missing)}")
        else:
            context.say(f"{needs.pack.name} has all of {', '.join(needs.system.wanted)}")
    for text in findings.survey.unreadable:
        context.say(f"wrong: {text}")
    if not asking:
        context.say("No pack asks for packages of this system.")
    if findings.plan.unknown:
        context.say(f"No package source of this system offers {', '.join(findings.plan.unknown)}.")
    if findings.plan.commands:
        context.say("What installs them:")
        for line in findings.plan.shell_lines():
            context.say(f"  {line}")


def _as_json(findings: Findings, error: BuildError | None, *, is_dry: bool) -> dict[str, Any]:
    """`{"packs": [{"pack", "section", "wanted", "missing", "problem"}], "unreadable", "install", "unknown", "commands":
    [[text]], "installed": bool, "error": BuildErrorJson | null}`"""
    missing = findings.survey.missing_system_packages
    return {
        "packs": [
            {"pack": needs.pack.name, **needs.system.as_json()}
            for needs in findings.survey.packs
            if needs.system
        ],
        "unreadable": list(findings.survey.unreadable),
        "install": list(findings.plan.install),
        "unknown": list(findings.plan.unknown),
        "commands": [list(command) for command in findings.plan.commands],
        "installed": bool(missing) and not is_dry and error is None and findings.system is not None,
        "error": error.as_json() if error else None,
    }


COMMAND = Command(
    name="apt-install",
    summary="Install the system packages that packs ask for, with apt or Homebrew",
    configure=configure,
    run=run,
    examples=(
        Example("--dry-run", "says what is missing, and the exact command"),
        Example("", "installs it; as another user than root only where sudo asks for no password"),
        Example("ComfyUI-GeometryPack", "for one pack"),
    ),
    details=(
        "Packs name them under [apt] and [brew] in their comfy-env-root.toml. Nothing else ever installs them: not a\n"
        "build, not a start of ComfyUI. A password is never asked for; without the rights, the command is shown."
    ),
    speaks_json=True,
)
