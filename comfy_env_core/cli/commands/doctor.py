"""`doctor`: whether builds can succeed on this machine, and what to do about what is in their way."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

from comfy_env_core.building.errors import BuildError
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.doctor.beside import check_memory, check_prerequisites
from comfy_env_core.doctor.finding import Finding, Level, fail
from comfy_env_core.doctor.installed import check_installed
from comfy_env_core.doctor.network import check_certificates, check_places
from comfy_env_core.doctor.package import check_package
from comfy_env_core.doctor.storage import check_place_of_environments, check_store
from comfy_env_core.doctor.surroundings import (
    check_comfyui,
    check_encoding,
    check_python,
    check_settings,
)
from comfy_env_core.doctor.tools import check_engine, check_interpreters

_CHECKS = (
    check_comfyui,
    check_python,
    check_memory,
    check_store,
    check_place_of_environments,
    check_encoding,
    check_settings,
    check_engine,
    check_interpreters,
    check_prerequisites,
    check_certificates,
    check_places,
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--package",
        metavar="NAME",
        help="look for this PyPI package instead: where it is, whether it runs here, and whether it imports in the "
        "environments that have it",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED when something would make builds fail."""
    findings = _of_package(context, options.package) if options.package else _everything(context)
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


def _of_package(context: Context, name: str) -> Iterator[Finding]:
    """Where it can be had, then what became of it in the environments that have it."""
    yield from check_package(context, name)
    yield from check_installed(context, name)


def _everything(context: Context) -> Iterator[Finding]:
    for check in _CHECKS:
        try:
            yield from check(context)
        except BuildError as error:
            yield fail(error.cause.value, error.message, error.remedy)


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
