"""`scan`: which packs there are, what they isolate, and which files are wrong, with the line."""

from __future__ import annotations

import argparse
from typing import Any

from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.config import ConfigError, ConfigWarning
from comfy_env_core.discovery import Scan, Site


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED when a file cannot be used."""
    found = context.scan
    if context.wants_json:
        context.print_json(as_json(found, [str(directory) for directory in context.custom_nodes]))
    else:
        _tell(found, context)
    return FAILED if any(site.error for site in found.sites) or found.root_errors else FINE


def as_json(found: Scan, custom_nodes: list[str]) -> dict[str, Any]:
    """`{"custom_nodes", "packs": [{"name", "path"}], "sites": [{"id", "pack", "config_path", "problem", "warnings"}],
    "root_files": [{"id", "problem"}], "skipped": [{"name", "reason"}], "mistakes": [{"path", "problem", "remedy"}]}`;
    a problem is None or `{"path", "key", "line", "problem", "remedy"}`, and so is each warning."""
    root_ids = sorted({*found.roots, *found.root_errors})
    return {
        "custom_nodes": custom_nodes,
        "packs": [{"name": pack.name, "path": str(pack.path)} for pack in found.packs],
        "sites": [
            {
                "id": site.id,
                "pack": site.pack.name,
                "config_path": str(site.config_path),
                "problem": _problem(site.error),
                "warnings": [_problem(warning) for warning in _warnings(site)],
            }
            for site in found.sites
        ],
        "root_files": [{"id": id_, "problem": _problem(found.root_errors.get(id_))} for id_ in root_ids],
        "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in found.skipped],
        "mistakes": [
            {"path": str(mistake.path), "problem": mistake.problem, "remedy": mistake.remedy}
            for mistake in found.mistakes
        ],
    }


def _tell(found: Scan, context: Context) -> None:
    context.say(f"In {', '.join(map(str, context.custom_nodes))}:")
    isolated = {site.pack.name for site in found.sites} | {id_.partition("/")[0] for id_ in found.roots}
    for site in found.sites:
        context.say(f"  {site.id}  {site.config_path.relative_to(site.pack.path.parent)}")
        for told in (site.error, *_warnings(site)):
            if told is not None:
                context.say(f"    {'wrong' if told is site.error else 'note'}: {told}")
    for id_ in sorted({*found.roots, *found.root_errors}):
        context.say(f"  {id_}  comfy-env-root.toml")
        if id_ in found.root_errors:
            context.say(f"    wrong: {found.root_errors[id_]}")
    for mistake in found.mistakes:
        context.say(f"  wrong: {mistake}")
    for skipped in found.skipped:
        context.say(f"  not looked into: {skipped.name}: {skipped.reason}")
    without = sum(pack.name not in isolated for pack in found.packs)
    context.say(f"{len(found.sites)} isolated, {without} packs without a file of ours.")


def _warnings(site: Site) -> tuple[ConfigWarning, ...]:
    return site.spec.warnings if site.spec is not None else ()


def _problem(problem: ConfigError | ConfigWarning | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {
        "path": str(problem.path),
        "key": problem.key,
        "line": problem.line,
        "problem": problem.problem,
        "remedy": problem.remedy,
    }


COMMAND = Command(
    name="scan",
    summary="List the packs, what they isolate, and what is wrong in their files",
    configure=configure,
    run=run,
    examples=(
        Example("", "looks through the custom_nodes directory of this ComfyUI"),
        Example("--custom-nodes ~/other/custom_nodes --json", "another one, for a program"),
    ),
    details="Reads only: nothing is built, no code of a pack runs, no network is used.",
    speaks_json=True,
)
