"""`status`: how each isolated directory stands, from what is on disk; builds and starts nothing."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE
from comfy_env_core.cli.known import KnownSite
from comfy_env_core.cli.targets import TARGET_HELP, known_sites_named
from comfy_env_core.environments.states import SiteState


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packs", metavar="PACK", nargs="*", help=f"{TARGET_HELP}; default: all")


def run(options: argparse.Namespace, context: Context) -> int:
    known = known_sites_named(context, options.packs)
    if context.wants_json:
        context.print_json(
            {
                "store": str(context.store.root),
                "custom_nodes": [str(directory) for directory in context.custom_nodes],
                "sites": [as_json(site) for site in known],
            }
        )
        return FINE
    rows = [_row(site) for site in known]
    context.say_rows(rows)
    counts = Counter(row[1] for row in rows)
    told = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing is isolated here"
    context.say(f"{told}; environments in {context.store.root}")
    return FINE


def as_json(known: KnownSite) -> dict[str, Any]:
    """`{"id", "pack", "state", "environment_id", "serving", "failure", "last_build", "build", "nodes", "log_path",
    "lock_note"}`.

    `state`: "ready", "built" (its nodes were not imported yet), "building", "stale", "failed" or "unbuilt". `serving`:
    `{"environment_id", "generation", "python"}` or None. `failure`: as in GET /comfy-env/status. `build`: the fields of
    the running build, or None. `last_build`: why it failed, or None.
    """
    environment, serving = known.environment, known.serving
    return {
        "id": known.site.id,
        "pack": known.site.pack.name,
        "state": state_of(known),
        "environment_id": environment.id if environment is not None else None,
        "serving": {
            "environment_id": serving.environment_id,
            "generation": serving.number,
            "python": str(serving.python),
        }
        if serving is not None
        else None,
        "failure": known.failure.as_json() if known.failure is not None else None,
        "last_build": known.last_build,
        "build": known.running.as_json() if known.running is not None else None,
        "nodes": list(known.nodes),
        "log_path": str(environment.log_path) if environment is not None else None,
        "lock_note": known.lock_note,
    }


def state_of(known: KnownSite) -> str:
    if known.running is not None:
        return SiteState.BUILDING.value
    if known.state is SiteState.READY:
        return SiteState.READY.value
    if known.failure is not None:
        return SiteState.FAILED.value
    if known.is_built:
        return "built"
    if known.serving is not None:
        return SiteState.STALE.value
    return SiteState.FAILED.value if known.last_build else SiteState.UNBUILT.value


def _row(known: KnownSite) -> tuple[str, str, str, str]:
    environment_id = known.environment.id if known.environment is not None else "-"
    return known.site.id, state_of(known), environment_id, _detail(known)


def _detail(known: KnownSite) -> str:
    job = known.running
    if job is not None:
        percent = f", {job.percent:.0f}%" if job.percent is not None else ""
        phase = ": ".join(filter(None, (job.phase or job.state, job.text)))
        return f"{phase}{percent}, {job.elapsed_s:.0f} s, process {job.pid}"
    if known.failure is not None:
        return str(known.failure)
    told = []
    if known.serving is not None and not known.is_built:
        told.append(f"environment {known.serving.environment_id} of an earlier file serves meanwhile")
    if known.last_build is not None:
        told.append(f"the last build failed: {known.last_build}")
    if known.is_built and known.serving is not None and known.state is SiteState.READY:
        count = len(known.nodes)
        told.append(f"{count} node{'' if count == 1 else 's'}, generation {known.serving.number}")
    elif known.is_built:
        told.append("its nodes are imported at the next start of ComfyUI")
    if known.lock_note is not None:
        told.append(known.lock_note)
    return "; ".join(told) or "not built yet"


COMMAND = Command(
    name="status",
    summary="Show how each isolated pack stands, and what is being built",
    configure=configure,
    run=run,
    examples=(
        Example("", "all packs of this ComfyUI"),
        Example("ComfyUI-GeometryPack", "one pack"),
        Example("--json", "for a program"),
    ),
    details=(
        "Looks at the disk only. Builds that run in ComfyUI, or in another terminal, are shown as well.\n"
        "ready: its nodes can run. built: its nodes were not imported yet. stale: the file changed, an older\n"
        "environment serves. failed: the file or the last build. unbuilt: `build` or the next start makes it."
    ),
    speaks_json=True,
)
