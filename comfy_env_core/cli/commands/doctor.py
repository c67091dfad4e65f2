"""`doctor`: whether builds can succeed on this machine, and what to do about what is in their way."""

from __future__ import annotations

import argparse
import dataclasses
from collections import Counter
from collections.abc import Iterator

from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE, CommandError
from comfy_env_core.cli.known import KnownSite, look
from comfy_env_core.doctor.examination import examine, examine_package
from comfy_env_core.doctor.finding import Finding, Level
from comfy_env_core.doctor.surroundings import Surroundings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--package",
        metavar="NAME",
        help="look for this PyPI package instead: where it is, whether it runs here, and whether it imports in the "
        "environments that have it",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED when something would make builds fail."""
    findings = _findings(context, options.package)
    told: list[Finding] = []
    for finding in findings:
        told.append(finding)
        if not context.wants_json:
            context.say_rows([(f"{finding.level.value:4}", f"{finding.subject:12}", finding.text)])
            if finding.remedy:
                context.say_rows([(" " * 4, " " * 12, f"-> {finding.remedy}")])
    if context.wants_json:
        context.print_json({"findings": [finding.as_json() for finding in told]})
    elif not options.package:
        counts = Counter(finding.level for finding in told)
        context.say(
            f"{counts[Level.FAIL]} to mend, {counts[Level.WARN]} to know of, {counts[Level.OK]} fine."
        )
    return FAILED if any(finding.level is Level.FAIL for finding in told) else FINE


def _findings(context: Context, package: str | None) -> Iterator[Finding]:
    surroundings = surroundings_of(context)
    if package is None:
        return examine(surroundings)
    serving = tuple((one.site.id, one.serving) for one in _known(context, surroundings) if one.serving)
    return examine_package(dataclasses.replace(surroundings, serving=serving), package)


def surroundings_of(context: Context) -> Surroundings:
    """There may be no ComfyUI around; the machine can be looked at all the same."""
    try:
        custom_nodes = context.custom_nodes
    except CommandError as error:
        return Surroundings(context.store, context.settings, why_no_packs=str(error))
    return Surroundings(context.store, context.settings, context.scan, custom_nodes, context.comfyui_source)


def _known(context: Context, surroundings: Surroundings) -> tuple[KnownSite, ...]:
    return look(context) if surroundings.scan is not None else ()


COMMAND = Command(
    name="doctor",
    summary="Check whether builds can succeed on this machine, and say what to do if not",
    configure=configure,
    run=run,
    examples=(
        Example("", "store, disk, GPU, engine, interpreters, certificates, indexes"),
        Example(
            "--package open3d",
            "which indexes have it, for which Pythons and systems, and whether it imports where it is installed",
        ),
        Example("--json", "for a bug report"),
    ),
    details=(
        "Asks the places that packages come from for one small page each, a few seconds in all. Installs nothing.\n"
        "Run it with ComfyUI's own Python: its version and torch decide what environments get."
    ),
    speaks_json=True,
)
