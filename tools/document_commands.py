"""Writes what each command takes into docs/cli.md, from the parsers themselves: `python tools/document_commands.py`.

A part that is written lies between ``<!-- usage: NAME -->`` and ``<!-- end of usage -->``; the rest of the page is by
hand. `--check` writes nothing, and fails where the page is not what it would write.
"""

from __future__ import annotations

import argparse
import itertools
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from comfy_env_core.cli import exit_codes, table  # noqa: E402 – found by the line above
from comfy_env_core.cli.command import Command  # noqa: E402

PAGE = REPOSITORY / "docs" / "cli.md"
_WIDTH = 120
PROGRAM = "python -m comfy_env_core"
_PART = re.compile(r"(<!-- usage: ([\w-]+) -->\n).*?(<!-- end of usage -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with every part as it should be. Raises ValueError if a command has none, or a part no command."""
    parts = {name: _usage(table.load(name)) for name in table.names()}
    parts["commands"] = _overview()
    parts["exit-codes"] = _exit_codes()
    parts["common-options"] = _common_options()
    found = [match[2] for match in _PART.finditer(page)]
    if sorted(found) != sorted(parts):
        raise ValueError(f"The page has parts for {sorted(found)}; there should be {sorted(parts)}")
    return _PART.sub(lambda match: f"{match[1]}{parts[match[2]]}{match[3]}", page)


def _overview() -> str:
    lines = ["| | command | what it does |", "|---|---|---|"]
    for heading, names in table.GROUPS.items():
        for number, name in enumerate(names):
            lines.append(
                f"| {'' if number else heading} | [`{name}`](#{name}) | {table.load(name).summary} |"
            )
    return "\n".join(lines) + "\n"


def _exit_codes() -> str:
    lines = ["| code | meaning |", "|---|---|"]
    return (
        "\n".join([*lines, *(f"| {code} | {meaning} |" for code, meaning in exit_codes.MEANINGS.items())])
        + "\n"
    )


def _common_options() -> str:
    silent = [f"`{name}`" for name in table.names() if not table.load(name).speaks_json]
    told = f"`--json` is not known to {', '.join(silent[:-1])} and {silent[-1]}, whose output is what it is."
    return "\n".join([*_options(table.load("status"), common=True), "", told]) + "\n"


def _usage(command: Command) -> str:
    lines = [*_paragraphs(f"{command.summary}. {command.details}"), ""]
    options = list(_options(command, common=False))
    if options:
        lines += [*options, ""]
    lines += [
        "```sh",
        *(_example(command, example.arguments, example.effect) for example in command.examples),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """Text as `--help` has it, its indented lines as a list."""
    for is_list, group in itertools.groupby(text.strip().splitlines(), lambda line: line.startswith("  ")):
        if is_list:
            yield from ("", *(f"- `{'` `'.join(line.split())}`" for line in group))
        else:
            yield from textwrap.wrap(" ".join(group), _WIDTH, break_on_hyphens=False)


def _example(command: Command, arguments: str, effect: str) -> str:
    return f"{PROGRAM} {command.name} {arguments}".rstrip() + f"  # {effect}"


def _options(command: Command, *, common: bool) -> Iterator[str]:
    """The rows of a table. `common`: those that every command has."""
    groups = [
        group for group in command.parser()._action_groups if (group.title == "common options") == common
    ]
    actions = [action for group in groups for action in group._group_actions if action.dest != "help"]
    rows = [f"| {_spelling(action)} | {_text(action.help or '')} |" for action in actions]
    if rows:
        yield from ["| | |", "|---|---|", *rows]


def _spelling(action: argparse.Action) -> str:
    if not action.option_strings:
        name = str(action.metavar or action.dest).replace("|", r"\|")
        shown = {"*": f"[{name} …]", "+": f"{name} …", "?": f"[{name}]"}.get(str(action.nargs), name)
        return f"`{shown}`"
    value = ""
    if action.nargs != 0:
        name = str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper())
        value = " " + (f"[{name}]" if action.nargs == "?" else name)
    return ", ".join(f"`{option}{value}`" for option in action.option_strings).replace("|", r"\|")


def _text(text: str) -> str:
    return text.replace("%%", "%").replace("|", r"\|")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something would change")
    options = parser.parse_args(arguments)
    before = PAGE.read_text(encoding="utf-8")
    after = written(before)
    if options.check:
        if after != before:
            print(
                f"{PAGE} is not up to date. Run: python {shlex.quote(str(Path(__file__)))}", file=sys.stderr
            )
        return int(after != before)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
