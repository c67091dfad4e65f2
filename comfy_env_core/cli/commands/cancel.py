"""`cancel`: ends a build, also one that ComfyUI or another terminal runs."""

from __future__ import annotations

import argparse
import time

from comfy_env_core.building.running_job import RunningJob, ask_to_cancel, read_running_job
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE, USAGE, CommandError
from comfy_env_core.cli.targets import TARGET_HELP, environment_named
from comfy_env_core.environments.store import Environment

#: A build stops within two seconds; a process that is stopped itself, or a disk that hangs, does not.
PATIENCE_S = 10.0
_POLL_S = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", metavar="PACK|ENV", nargs="*", help=TARGET_HELP)
    parser.add_argument(
        "--all", action="store_true", help="every build that runs on this machine in this store"
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED when a build goes on all the same. One that does not run needs no ending."""
    if not options.targets and not options.all:
        raise CommandError("Which build? Name a pack or an environment, or add --all.", USAGE)
    chosen = [environment_named(context, name)[0] for name in options.targets]
    if options.all:
        chosen += list(context.store.environments())
    asked = {environment.id: (environment, ask_to_cancel(environment)) for environment in chosen}
    endings = [_ending(environment, job) for environment, job in asked.values() if job is not None]
    if context.wants_json:
        context.print_json(
            {"cancelled": [dict(zip(("environment_id", "ended"), one, strict=True)) for one in endings]}
        )
    elif not endings:
        context.say("Nothing is being built there.")
    else:
        for environment_id, ended in endings:
            context.say(f"{environment_id}: {'cancelled' if ended else f'still runs after {PATIENCE_S:g} s'}")
    return FINE if all(ended for _, ended in endings) else FAILED


def _ending(environment: Environment, job: RunningJob) -> tuple[str, bool]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        now = read_running_job(environment)
        if now is None or now.job_id != job.job_id:
            return environment.id, True
        time.sleep(_POLL_S)
    return environment.id, False


COMMAND = Command(
    name="cancel",
    summary="Stop a build, also one that runs in ComfyUI or in another terminal",
    configure=configure,
    run=run,
    examples=(
        Example("ComfyUI-GeometryPack", "stops building its environment"),
        Example("--all", "stops everything that is being built"),
    ),
    details=(
        "The process that builds ends its tools and clears away what is half done; an environment that was there\n"
        "before goes on serving."
    ),
    speaks_json=True,
)
