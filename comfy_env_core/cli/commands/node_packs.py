"""`node-packs`: the other packs that packs ask for: which are missing, and fetching them."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

from comfy_env_core.building.errors import BuildError
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.cli.spoken_report import SpokenReport
from comfy_env_core.cli.targets import packs_named
from comfy_env_core.config import GitSource, RegistrySource
from comfy_env_core.environments.size_text import megabytes
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.installing import Outcome, Result, fetch_packs
from comfy_env_core.prerequisites.packs.requirements_step import RequirementsStep, requirements_step
from comfy_env_core.prerequisites.packs.sources import PackSources, Preview
from comfy_env_core.prerequisites.survey import NodePackNeed, PackNeeds, Survey, survey

log = logging.getLogger("comfy-env")

#: What the servers said, where they were asked.
Previews = dict[GitSource | RegistrySource, Preview | BuildError]


@dataclasses.dataclass(frozen=True)
class Done:
    """One outcome, and what is left to do for its requirements, None if nothing is. `problem`: why that failed."""

    outcome: Outcome
    step: RequirementsStep | None
    problem: BuildError | None = None

    @property
    def is_fine(self) -> bool:
        return self.outcome.result is not Result.FAILED and self.problem is None

    def as_json(self) -> dict[str, Any]:
        error = self.outcome.error or self.problem
        return {
            "directory": self.outcome.requirement.directory,
            "asked_by": self.outcome.asked_by,
            "result": self.outcome.result.value,
            "path": str(self.outcome.path),
            "text": self.outcome.text,
            "notes": list(self.outcome.notes),
            "requirements": list(self.step.shell_lines()) if self.step else [],
            "error": error.as_json() if error else None,
        }


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packs", metavar="PACK", nargs="*", help="a folder in custom_nodes; default: all")
    parser.add_argument(
        "--ask", action="store_true", help="ask the servers which version would come, and how large it is"
    )
    parser.add_argument("--install", action="store_true", help="fetch what is missing")
    parser.add_argument(
        "--requirements",
        action="store_true",
        help="with --install: let ComfyUI-Manager, if it is there, install the Python packages of what was fetched "
        "into ComfyUI's own Python",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED when a pack could not be fetched, or a file could not be read."""
    addresses = Addresses.from_environment(os.environ)
    found = survey(context.scan, addresses, packs_named(context.scan, options.packs))
    sources = PackSources(addresses, context.settings, SpokenReport())
    previews = _ask(found, sources) if options.ask else {}
    if not context.wants_json:
        _tell(found, previews, context)
    done = _install(found, sources, context, options.requirements) if options.install else ()
    if context.wants_json:
        context.print_json({**_as_json(found, previews), "done": [one.as_json() for one in done]})
    else:
        _tell_end(found, done, options, context)
    return FINE if all(one.is_fine for one in done) and not found.unreadable else FAILED


def _ask(found: Survey, sources: PackSources) -> Previews:
    previews: Previews = {}
    for needs in found.packs:
        for need in needs.node_packs:
            if need.present is None and need.requirement.source not in previews:
                try:
                    previews[need.requirement.source] = sources.preview(need.requirement.source)
                except BuildError as error:
                    previews[need.requirement.source] = error
    return previews


def _install(
    found: Survey, sources: PackSources, context: Context, with_requirements: bool
) -> tuple[Done, ...]:
    outcomes: list[Outcome] = []
    for custom_nodes, wanted in found.missing_node_packs().items():
        outcomes += fetch_packs(wanted, custom_nodes, sources.fetch, _log_outcome)
    return tuple(_settle(outcome, context.comfyui_source, with_requirements) for outcome in outcomes)


def _settle(outcome: Outcome, comfyui_source: Path | None, with_requirements: bool) -> Done:
    if outcome.result is not Result.FETCHED:
        return Done(outcome, None)
    step = requirements_step(outcome.path, comfyui_source)
    if step is None or not step.is_by_manager or not with_requirements:
        return Done(outcome, step)
    try:
        step.run(SpokenReport())
    except BuildError as error:
        log.error("%s", error)
        return Done(outcome, step, error)
    return Done(outcome, None)


def _log_outcome(outcome: Outcome) -> None:
    if outcome.error is not None:
        log.error("%s: %s", outcome.requirement.directory, outcome.error)
        for line in outcome.error.tail:
            log.error("  %s", line)
    else:
        log.info("%s: %s %s", outcome.requirement.directory, outcome.result.value, outcome.text)


def _tell(found: Survey, previews: Previews, context: Context) -> None:
    asking = [needs for needs in found.packs if needs.node_packs]
    for needs in asking:
        context.say(f"{needs.pack.name} asks for")
        for need in needs.node_packs:
            context.say(f"  {_described(need, needs)}")
            if (preview := previews.get(need.requirement.source)) is not None and need.present is None:
                context.say(f"    {_previewed(preview)}")
    for text in found.unreadable:
        context.say(f"wrong: {text}")
    if not asking:
        context.say("No pack asks for another one.")


def _described(need: NodePackNeed, needs: PackNeeds) -> str:
    name = need.requirement.directory
    if need.present is None:
        actual = (
            ""
            if need.address.startswith(str(need.requirement.source).split(" ")[0])
            else f", by {need.address}"
        )
        return f"{name}: missing; {need.requirement.source}{actual} would be fetched into {need.path}"
    if need.present is Result.REPLACED:
        return f"{name}: not needed; {need.note}"
    state = "is there" if need.present is Result.PRESENT else "is there, switched off"
    place = "" if need.path == needs.custom_nodes / name else f" as {need.path.name!r}"
    note = f"; {need.note}: it is left alone" if need.note else ""
    return f"{name}: {state}{place}{note}"


def _previewed(preview: Preview | BuildError) -> str:
    if isinstance(preview, BuildError):
        return f"cannot be had: {preview}"
    size = f", {megabytes(preview.size_bytes)}" if preview.size_bytes is not None else ""
    return f"now {preview.version}{size}"


def _tell_end(found: Survey, done: tuple[Done, ...], options: argparse.Namespace, context: Context) -> None:
    if not options.install:
        if found.missing_node_packs():
            context.say(
                "Nothing was fetched. --install fetches what is missing, and what that asks for in turn."
            )
        return
    for one in done:
        said = one.outcome.error.message if one.outcome.error else one.outcome.text
        context.say(f"{one.outcome.requirement.directory}: {one.outcome.result.value}. {said}".rstrip())
        for note in one.outcome.notes:
            context.say(f"  note: {note}")
    left = [one for one in done if one.step is not None]
    if left:
        context.say(
            "They want Python packages in ComfyUI's own Python, which is never changed from here. To install:"
        )
    for one in left:
        assert one.step is not None  # just selected
        for line in (f"cd {one.step.directory}", *one.step.shell_lines()):
            context.say(f"  {line}")
    if any(one.outcome.result is Result.FETCHED for one in done):
        context.say("Restart ComfyUI: it loads packs when it starts.")


def _as_json(found: Survey, previews: Previews) -> dict[str, Any]:
    """`{"packs": [{"pack", "node_packs": […]}], "unreadable": […], "done": […]}`.

    A node pack as in `Survey.as_json`, with `"preview": {"version", "size_bytes"} | BuildErrorJson | null` beside. One
    that was dealt with: `{"directory", "asked_by", "result": "fetched" | "present" | "disabled" | "replaced" |
    "failed", "path", "text", "notes", "requirements": [command], "error": BuildErrorJson | null}`.
    """
    return {
        "packs": [
            {
                "pack": needs.pack.name,
                "node_packs": [_need_as_json(need, previews) for need in needs.node_packs],
            }
            for needs in found.packs
            if needs.node_packs
        ],
        "unreadable": list(found.unreadable),
    }


def _need_as_json(need: NodePackNeed, previews: Previews) -> dict[str, Any]:
    preview = previews.get(need.requirement.source)
    return {**need.as_json(), "preview": preview.as_json() if preview is not None else None}


COMMAND = Command(
    name="node-packs",
    summary="List the other packs that packs ask for, and fetch what is missing",
    configure=configure,
    run=run,
    examples=(
        Example("", "lists what is asked for, what is there, and where the rest would come from"),
        Example("--ask", "and in which version, and how large it is"),
        Example("ComfyUI-TRELLIS2 --install", "fetches what one pack misses, and what that asks for in turn"),
        Example("--install --requirements", "and lets ComfyUI-Manager install their Python packages"),
    ),
    details=(
        "Packs name them under [node_reqs] in their comfy-env-root.toml. A pack runs code in ComfyUI: fetch those\n"
        "you trust. Nothing is fetched without --install, never at a start of ComfyUI; a pack that is there is left\n"
        "alone, whatever its version. COMFY_ENV_GITHUB_MIRROR and COMFY_ENV_REGISTRY name other addresses."
    ),
    speaks_json=True,
)
