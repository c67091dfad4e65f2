"""`settings`: what holds for every ComfyUI of this machine, shown and changed."""

from __future__ import annotations

import argparse
import os
from typing import Any

from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE, USAGE, CommandError
from comfy_env_core.settings.shown import ShownSetting, show
from comfy_env_core.settings.table import SETTINGS, Value
from comfy_env_core.settings.writing import FileUnusable, SettingsError, change, find

_DEFAULT = "default"
_APPLIES = {
    "now": "Counts from the next start of ComfyUI on; changed in its panel, at once.",
    "next_build": "Counts from the next build on.",
    "restart": "Counts from the next start of ComfyUI on.",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="one setting; all of them are shown without it"
    )
    parser.add_argument(
        "value",
        nargs="?",
        metavar="VALUE",
        help=f'what it shall be; "{_DEFAULT}" takes it back to its default',
    )


def run(options: argparse.Namespace, context: Context) -> int:
    try:
        if options.value is not None:
            _change(context, options.name, options.value)
        wanted = None if options.name is None else find(options.name).name
    except SettingsError as error:
        if isinstance(error, FileUnusable):
            raise CommandError(str(error)) from error
        raise CommandError(str(error), USAGE) from error
    shown, stored = show(os.environ, context.store)
    chosen = [one for one in shown if wanted in (None, one.setting.name)]
    if context.wants_json:
        context.print_json({"file": str(stored.path), "settings": [_as_json(one) for one in chosen]})
        return FINE
    context.say_rows([(one.setting.name, _text(one.value), _source(one)) for one in chosen])
    if wanted is not None:
        setting = find(wanted)
        context.say(f"{setting.meaning} {_APPLIES[setting.applies]}")
    problems = list(stored.problems()) + [one.problem for one in shown if one.variable and one.problem]
    for problem in problems:
        context.say(problem)
    return FINE


def _change(context: Context, name: str, text: str) -> None:
    setting = find(name)
    value: Value = None if text.strip().lower() == _DEFAULT else setting.from_text(text)
    change(context.store, {setting.name: value}, os.environ)


def _text(value: Value) -> str:
    return "-" if value is None else str(value)


def _source(shown: ShownSetting) -> str:
    if shown.variable is not None:
        return f"by the environment variable {shown.variable}"
    return {"default": "default", "settings": "set"}[shown.source]


def _as_json(shown: ShownSetting) -> dict[str, Any]:
    setting = shown.setting
    return {
        "name": setting.name,
        "value": shown.value,
        "default": setting.default,
        "source": shown.source,
        "variable": shown.variable,
        "applies": setting.applies,
        "problem": shown.problem,
    }


COMMAND = Command(
    name="settings",
    summary="Show or change what holds for every ComfyUI of this machine",
    configure=configure,
    run=run,
    examples=(
        Example("", "all settings, and where each value comes from"),
        Example("max_workers 2", "at most two worker processes at once"),
        Example("pypi_index https://mirror.example/simple", "packages come from a mirror of PyPI"),
        Example(f"pypi_index {_DEFAULT}", "and from PyPI again"),
    ),
    details=(
        "They are kept in settings.json in the store. Environment variables win over them:\n"
        + "\n".join(f"  {setting.name:16}{setting.variable}" for setting in SETTINGS)
    ),
    speaks_json=True,
)
