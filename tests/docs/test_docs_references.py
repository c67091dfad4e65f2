"""What pages name exists: other pages and their sections, pictures, variables, commands, settings, causes, buttons."""

from __future__ import annotations

import ast
import functools
import math
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from comfy_env_core.building.errors import BuildCause
from comfy_env_core.config import PIXI_KEYS
from comfy_env_core.settings.table import SETTINGS
from docs.pages import DOCS, REPOSITORY, Page, all_pages, page

#: Pages in which what is bold is what stands on a button, a tab or a heading of the panel.
ABOUT_THE_PANEL = ("README.md", "docs/getting-started.md", "docs/troubleshooting.md")
_VARIABLE = re.compile(r"COMFY_ENV_[A-Z_]*[A-Z]")
_OF_TESTS = re.compile(r"COMFY_ENV_TESTS?_\w+")
#: A text that looks like a variable's name: the name of a socket type, made up to see how others compare to it.
_NO_VARIABLE = frozenset({"COMFY_ENV_PROBE"})
_APPLIES = {"now": "at once", "next_build": "with the next build", "restart": "with the next start"}


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Page) -> None:
    broken = [
        f"{page.name}:{line}: {target}" for line, target in page.links if not _leads_somewhere(page, target)
    ]
    assert not broken


def _leads_somewhere(page: Page, target: str) -> bool:
    if re.match(r"https?://", target):
        return True
    name, _, anchor = target.partition("#")
    path = (page.path.parent / name).resolve() if name else page.path
    if not path.exists() or not path.is_relative_to(REPOSITORY):
        return False
    return not anchor or anchor in (Page.read(path) if name else page).anchors


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_files_of_this_repository_that_are_named_exist(page: Page) -> None:
    """A name with `*` stands for at least one, one with `<…>` or `{…}` for no particular one."""
    named = [
        (line, text)
        for line, text in page.quoted
        if re.fullmatch(r"(tests|tools|web|js|comfy_env_core)/[\w./*-]*", text)
    ]
    missing = [
        f"{page.name}:{line}: {text}" for line, text in named if not any(REPOSITORY.glob(text.rstrip("/")))
    ]
    assert not missing


def test_every_page_is_in_the_index() -> None:
    listed = {(DOCS / target).resolve() for _, target in page("README.md").links if target.endswith(".md")}
    assert {path.resolve() for path in DOCS.glob("*.md")} - {DOCS / "README.md"} <= listed


def test_table_of_variables_is_what_the_code_reads() -> None:
    reference = page("configuration.md")
    told = {name for row in reference.table_below("Variables") for name in _VARIABLE.findall(row[0])}
    for_itself = {
        name
        for row in reference.table_below("Variables that it sets itself")
        for name in _VARIABLE.findall(row[0])
    }
    assert told | for_itself == _read_by_the_code() and not told & for_itself


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_no_page_names_a_variable_that_nothing_reads(page: Page) -> None:
    named = set(_VARIABLE.findall(page.text)) - set(_OF_TESTS.findall(page.text))
    assert named <= _read_by_the_code()


def test_variables_of_the_tests_are_read_by_tests() -> None:
    named = {name for one in all_pages() for name in _OF_TESTS.findall(one.text)}
    sources = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("*.py"))
    assert {name for name in named if name not in sources} == set()


def test_sentences_that_users_look_for_are_said_somewhere() -> None:
    """In the first columns of troubleshooting.md; "…" stands for what is filled in."""
    pages = page("troubleshooting.md")
    rows = [*pages.table_below("By what you see"), *pages.table_below("Nodes that run and fail")]
    looked_for = [sentence for row in rows for sentence in re.findall(r'"([^"]+)"', row[0])]
    said = _everything_said()
    unsaid = [
        sentence
        for sentence in looked_for
        if not re.search(".{0,60}".join(re.escape(part) for part in sentence.split("…")), said)
    ]
    assert len(looked_for) > 5 and not unsaid


def _everything_said() -> str:
    """All texts of the code, those over several lines joined; where something is filled in stands "{}"."""
    texts = [words for _, words in _texts_of_the_panel()]
    for node in _nodes_of_the_code():
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            texts.append("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return "\n".join(texts)


@functools.cache
def _nodes_of_the_code() -> tuple[ast.JoinedStr | ast.Constant | ast.Call, ...]:
    """What may hold a text, of all modules; reading them takes a second."""
    found: list[ast.JoinedStr | ast.Constant | ast.Call] = []
    for folder in ("comfy_env_core", "installers"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            tree = ast.walk(ast.parse(path.read_bytes()))
            found += [node for node in tree if isinstance(node, (ast.JoinedStr, ast.Constant, ast.Call))]
    return tuple(found)


@functools.cache
def _read_by_the_code() -> frozenset[str]:
    return frozenset(_names_in_sources()) - _NO_VARIABLE


def _names_in_sources() -> Iterator[str]:
    """Names that stand alone in a text of the source: those are looked up; others are parts of sentences."""
    for node in _nodes_of_the_code():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _VARIABLE.fullmatch(node.value):
            yield node.value


@pytest.mark.parametrize(
    ("name", "module", "constant"),
    [
        ("COMFY_ENV_IDLE_TIMEOUT_S", "supervision/idling.py", "IDLE_TIMEOUT_S"),
        ("COMFY_ENV_IMPORT_TIMEOUT_S", "manager.py", "IMPORT_TIMEOUT_S"),
        ("COMFY_ENV_INTERRUPT_KILL_S", "comfyui/deferred.py", "KILL_AFTER_S"),
    ],
)
def test_times_that_are_told_are_those_of_the_code(name: str, module: str, constant: str) -> None:
    """Read from the source: one of them can be imported in ComfyUI only."""
    source = (REPOSITORY / "comfy_env_core" / module).read_text(encoding="utf-8")
    (value,) = re.findall(rf"^{constant} = ([\d. *]+)$", source, re.MULTILINE)
    seconds = math.prod(map(float, value.split("*")))
    (row,) = (row for row in page("configuration.md").table_below("Variables") if name in row[0])
    assert f"`{seconds:g}`" in row[1]


def test_sessions_of_nox_and_benchmarks_that_are_named_exist() -> None:
    source = (REPOSITORY / "noxfile.py").read_text(encoding="utf-8")
    sessions = re.findall(r"^def (\w+)\(session", source, re.MULTILINE)
    named = {name for one in all_pages() for name in re.findall(r"nox -s (\w+)", one.text)}
    assert {"demo", "tests"} <= named <= set(sessions)
    benched = {name for one in all_pages() for name in re.findall(r"bench -- (\w+)", one.text)}
    assert benched and not [name for name in benched if f'"{name}"' not in source]


def test_table_of_settings_is_what_is_declared() -> None:
    told = {row[0].strip("`"): row for row in page("configuration.md").table_below("Settings")}
    assert list(told) == [setting.name for setting in SETTINGS]
    for setting in SETTINGS:
        _, values, default, variable, applies = told[setting.name]
        assert set(setting.choices) <= set(re.findall(r"`(\w+)`", values)), setting.name
        assert default == ("none" if setting.default is None else f"`{setting.default}`"), setting.name
        assert (variable, applies) == (f"`{setting.variable}`", _APPLIES[setting.applies]), setting.name


def test_every_key_of_the_file_that_goes_to_pixi_is_told() -> None:
    rows = page("configuration.md").table_below("What is passed on to pixi")
    told = {key for row in rows for key in re.findall(r"`\[?([\w$-]+)", row[0])}
    assert {*PIXI_KEYS} - {"dependencies", "pypi-dependencies"} == told


def test_every_cause_of_a_failure_has_its_entry() -> None:
    told = [row[0].strip("`") for row in page("troubleshooting.md").table_below("By cause")]
    of_sites = _causes_of_sites()
    assert {"worker_start", "worker_crashed", "node_import"} <= of_sites
    assert sorted(told) == sorted({cause.value for cause in BuildCause} | of_sites)


def test_buttons_of_each_cause_are_those_of_the_panel() -> None:
    texts = dict(_texts_of_the_panel())
    source = (REPOSITORY / "web" / "remedies.js").read_text(encoding="utf-8")
    shown = {
        cause: [texts[f"remedy.{action}"] for action in re.findall(r'"(\w+)"', actions)]
        for cause, actions in re.findall(r"^  (\w+): \[(.*)\],$", source, re.MULTILINE)
    }
    rows = page("troubleshooting.md").table_below("By cause")
    assert {row[0].strip("`"): re.findall(r"\*\*(.+?)\*\*", row[3]) for row in rows} == shown


def _causes_of_sites() -> set[str]:
    """The words that failures of sites are made with."""
    causes: set[str] = set()
    for node in _nodes_of_the_code():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "SiteFailure":
            causes.update(str(first.value) for first in node.args[:1] if isinstance(first, ast.Constant))
    return causes


def test_page_of_commands_is_written_from_the_parsers() -> None:
    program = REPOSITORY / "tools" / "document_commands.py"
    outcome = subprocess.run(
        [sys.executable, str(program), "--check"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize("name", ABOUT_THE_PANEL)
def test_words_of_the_panel_are_those_on_the_screen(name: str) -> None:
    shown = set(_words_of_the_panel())
    assert {"Build all"} <= shown
    unknown = [
        f"{name}:{line}: {words}" for line, words in Page.read(REPOSITORY / name).bold if words not in shown
    ]
    assert not unknown


def _words_of_the_panel() -> Iterator[str]:
    return (words for _, words in _texts_of_the_panel())


def _texts_of_the_panel() -> Iterator[tuple[str, str]]:
    """The English texts with their keys, as they stand in the file of texts; without those that count something."""
    source = (REPOSITORY / "web" / "strings" / "en.js").read_text(encoding="utf-8")
    for match in re.finditer(r'^  "([\w.]+)":\s*"((?:[^"\\]|\\.)*)",$', source, re.MULTILINE):
        yield match[1], match[2].replace('\\"', '"')


def test_sizes_of_the_readme_stay_small() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130 and {
        "pip install nox && nox -s demo",
        "pip install nox && nox -s tests",
    } <= {line.strip() for line in text.splitlines()}
