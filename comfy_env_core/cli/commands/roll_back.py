"""`roll-back`: returns an environment to the build before."""

from __future__ import annotations

import argparse

from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE, CommandError
from comfy_env_core.cli.targets import TARGET_HELP, environment_named
from comfy_env_core.environments.environment import NothingToRollBackTo
from comfy_env_core.environments.removal import EnvironmentBusy, locked


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="PACK|ENV", help=TARGET_HELP)


def run(options: argparse.Namespace, context: Context) -> int:
    environment, sites = environment_named(context, options.target)
    before = environment.current()
    try:
        with locked(context.store, environment.id, "rolled back"):
            now = environment.roll_back()
    except (NothingToRollBackTo, EnvironmentBusy) as error:
        raise CommandError(str(error), FAILED) from error
    users = [site.site.id for site in sites]
    if context.wants_json:
        context.print_json({"environment_id": environment.id, "generation": now.number, "sites": users})
        return FINE
    context.say(
        f"Environment {environment.id} ({', '.join(users) or 'no pack'}) is back at build {now.number}."
    )
    if before is not None:
        context.say(f"The same command returns to build {before.number}.")
    return FINE


COMMAND = Command(
    name="roll-back",
    summary="Return to the build before the last one",
    configure=configure,
    run=run,
    examples=(
        Example("ComfyUI-GeometryPack", "after a rebuild that misbehaves"),
        Example("a0817083", "by the id of the environment; twice changes nothing"),
    ),
    details=(
        "Nothing is built. The build before is kept until the next one succeeds. A running ComfyUI takes it at the\n"
        "next call of an idle node, otherwise the next start does. A file that changed since has an environment of\n"
        "its own: to go back to that one, change the file back."
    ),
    speaks_json=True,
)
