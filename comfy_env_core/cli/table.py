"""All commands, in the order in which `--help` lists them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from comfy_env_core.cli.command import Command

#: Heading → names. The command `move-store` is `COMMAND` in `commands/move_store.py`, which is imported when it is
#: asked for: importing all of them takes longer than most of them run.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Look": ("scan", "status", "info", "logs", "doctor", "support-bundle", "generate"),
    "Build": ("build", "rebuild", "cancel", "roll-back", "run"),
    "Write files of a pack": ("init", "lock"),
    "Beside environments": ("node-packs", "apt-install"),
    "Disk": ("gc", "move-store"),
    "Settings": ("settings",),
}


def names() -> tuple[str, ...]:
    return tuple(name for group in GROUPS.values() for name in group)


def load(name: str) -> Command:
    """The command of one of `names()`."""
    module = importlib.import_module(f"comfy_env_core.cli.commands.{name.replace('-', '_')}")
    command = module.COMMAND
    assert isinstance(command, Command)
    return command
