"""Running the examples of a page. What is wrong comes back as sentences, each with the line of the page."""

from __future__ import annotations

import configparser
import itertools
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from comfy_env_core.cli import table
from comfy_env_core.config import ConfigError, parse_env, parse_root
from comfy_env_core.settings.table import BY_NAME
from comfy_env_core.wire.objects.codec_files import load_codecs
from comfy_env_core.wire.objects.codecs import Codecs
from docs.likeness import difference
from docs.pages import DOCS, REPOSITORY, Block, Page
from docs.stage import Stage

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: How the file of an example that has no name is called in messages.
_ENV, _ROOT = Path("comfy-env.toml"), Path("comfy-env-root.toml")
#: Programs of others, which may be named in a block that is not run.
_FOREIGN = re.compile(r"(cd|git clone|pip install|sudo (apt|apt-get|brew)|rm -r|rmdir|curl) .+|bash \.ci/run")


def problems(page: Page, stage: Stage) -> Iterator[str]:
    """Runs all blocks of the page, in its order. The stage is left as the last one left it."""
    if page.begins_with:
        furnish(Page.read(DOCS / page.begins_with), stage)
    for block, after in itertools.zip_longest(page.blocks, page.blocks[1:]):
        for problem in _problems_of(block, after, stage):
            yield f"{page.name}:{block.line}: {problem}"


def furnish(page: Page, stage: Stage) -> None:
    """Writes the files that a page shows."""
    for block in page.blocks:
        if "file" in block.settings:
            stage.write(block.settings["file"], block.text)


def _problems_of(block: Block, after: Block | None, stage: Stage) -> Iterator[str]:
    if "served" in block.flags:
        return  # it talks to a server: `test_docs_served` runs it
    if "file" in block.settings:
        stage.write(block.settings["file"], block.text)
    if block.language == "toml" and "foreign" not in block.flags:
        yield from _toml(block, after)
    elif block.language == "console":
        yield from _console(block, stage)
    elif block.language in _CHECKS:  # TOML that is none of our files among them
        try:
            _CHECKS[block.language](block)
        except Exception as error:  # noqa: BLE001 – whatever an example raises is what is wrong with it
            yield f"{type(error).__name__}: {error}"
    elif block.language != "text":
        yield f"nobody knows how to run {block.language or 'a block without a language'!r}"


def _toml(block: Block, after: Block | None) -> Iterator[str]:
    shown = after.text if after is not None and after.language == "text" else None
    try:
        told = _told_of(block)
    except ConfigError as error:
        if "fails" not in block.flags:
            yield str(error)
        elif shown is None or difference(shown, str(error)):
            yield f"the text block below should say: {error}"
        return
    if "fails" in block.flags:
        yield "this is read without an error"
    elif "older" in block.flags and not told:
        yield "this is read without a warning"
    elif "older" not in block.flags and told:
        yield " ".join(told)
    elif shown is not None and "older" in block.flags and (wrong := difference(shown, "\n".join(told))):
        yield f"the text block below: {wrong}"


def _told_of(block: Block) -> list[str]:
    """The warnings. Raises ConfigError."""
    source = block.text.encode()
    is_root = "root" in block.flags or block.settings.get("file", "").endswith(_ROOT.name)
    spec = parse_root(source, _ROOT) if is_root else parse_env(source, _ENV)
    return [str(warning) for warning in spec.warnings]


def _console(block: Block, stage: Stage) -> Iterator[str]:
    expected_code = int(block.settings.get("exit", "0"))
    commands = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    if commands[0].strip() or len(commands) == 1:
        yield "the first line should be a command, after a dollar sign and a blank"
    for number, entry in enumerate(commands[1:], start=1):
        command, _, expected = entry.partition("\n")
        outcome = stage.run(command)
        wrong = difference(expected, outcome.text)
        if wrong:
            yield f"{command}: {wrong}"
        if outcome.exit_code != (expected_code if number == len(commands) - 1 else 0):
            yield f"{command}: it ends with {outcome.exit_code}. It writes:\n{outcome.text}"


def _check_commands(block: Block) -> None:
    """Raises ValueError for a line that is no command of anybody's."""
    for line in block.text.splitlines():
        command = re.sub(r"\s+(#|> ).*", "", line).strip()
        for one in re.split(r" && ", command):
            if one and not _is_known(one):
                raise ValueError(f"{one!r} is not known")


def _is_known(command: str) -> bool:
    if "=" in command.split(maxsplit=1)[0]:  # variables before it
        return _is_known(command.partition(" ")[2]) if " " in command else True
    if match := re.fullmatch(r"nox -s (\w+)( -- .*)?", command):
        return f"\ndef {match[1]}(" in (REPOSITORY / "noxfile.py").read_text(encoding="utf-8")
    if match := re.fullmatch(r"(?:set|setx|export) (\w+)[= ]\S.*", command):
        return True
    if match := re.fullmatch(
        r"\S*python\S*(?: -s)? (?:-m |\S*[/\\])?comfy_env_core(?: (?P<rest>.*))?", command
    ):
        return _parses(match["rest"] or "--help")
    if re.fullmatch(r"\S*python\S*(?: -s)? \S*install\.py", command):
        return True
    return _FOREIGN.fullmatch(command) is not None


def _parses(arguments: str) -> bool:
    name, *rest = shlex.split(arguments)
    if name == "--help":
        return True
    if name not in table.names():
        return False
    try:
        table.load(name).parse(rest)
    except SystemExit as ended:
        return not ended.code
    return True


def _run_python(block: Block) -> None:
    if block.settings.get("file", "").endswith("serialization.py"):
        _load_codecs(block)
        return
    exec(compile(block.text, "<example>", "exec"), {"__name__": "__example__"})


def _load_codecs(block: Block) -> None:
    """As a worker does, which is the only place where such a file can import what it imports."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "serialization.py"
        path.write_text(block.text, encoding="utf-8")
        load_codecs(path, Codecs())


def _check_json(block: Block) -> None:
    """Raises ValueError also for settings that are none, or that may not be so."""
    content = json.loads(block.text)
    if "settings" not in block.flags:
        return
    for name, value in content.items():
        if problem := BY_NAME[name].problem(value) if name in BY_NAME else "is no setting":
            raise ValueError(f"{name} {problem}")


def _check_ini(block: Block) -> None:
    configparser.ConfigParser().read_string(block.text)


#: Raises whatever is wrong.
_CHECKS: Mapping[str, Callable[[Block], Any]] = {
    "sh": _check_commands,
    "bat": _check_commands,
    "toml": lambda block: tomllib.loads(block.text),
    "json": _check_json,
    "ini": _check_ini,
    "python": _run_python,
}
