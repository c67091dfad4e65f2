"""Conda and PyPI requirements, in the shapes pixi takes them.

Source: the JSON schema of pixi's manifest, `MatchspecTable` and the definitions that begin with `PyPI`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .document import Document
from .keys import KeyPath, dotted
from .markers import UnknownMarker, selectors
from .requirement_lines import NotARequirement, read_line
from .values import inline, kind, strings, table

Requirement = str | Mapping[str, Any]

_STRING, _BOOLEAN, _STRINGS, _ANY = "a string", "a boolean", "a list", "anything"

CONDA_KEYS: Mapping[str, str] = {
    **dict.fromkeys(("version", "build", "build-number", "channel", "subdir", "file-name"), _STRING),
    **dict.fromkeys(("license", "license-family", "md5", "sha256", "url", "path"), _STRING),
    **dict.fromkeys(("git", "branch", "rev", "tag", "subdirectory"), _STRING),
    **dict.fromkeys(("extras", "flags", "track-features"), _STRINGS),
    **dict.fromkeys(("lfs", "workspace"), _BOOLEAN),
    **dict.fromkeys(("package", "when"), _ANY),  # tables of pixi's own, which pixi checks
}

# One entry for each place a PyPI package can come from: the key that names the place, and what may stand beside it.
PYPI_SOURCES: Mapping[str, Mapping[str, str]] = {
    "git": {
        "git": _STRING,
        "branch": _STRING,
        "tag": _STRING,
        "rev": _STRING,
        "subdirectory": _STRING,
        "lfs": _BOOLEAN,
    },
    "path": {"path": _STRING, "editable": _BOOLEAN, "subdirectory": _STRING},
    "url": {"url": _STRING},
    "version": {"version": _STRING, "index": _STRING},
}
_PLACES = ("git", "path", "url")
_GIT_REVISIONS = ("branch", "tag", "rev")

_CONDA_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CONDA_RANGE = re.compile(r"[\w.*!+<>=~,|() -]+")
_PYPI_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_SEPARATORS = re.compile(r"[-_.]+")
_PYPI_CLAUSE = re.compile(r"(===|==|!=|~=|<=|>=|<|>)\s*[A-Za-z0-9][A-Za-z0-9.!+_*-]*")
_BARE_VERSION = re.compile(r"\d[A-Za-z0-9.!+_-]*(\.\*)?")
_EXTRAS = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")


def read_conda(document: Document, key: KeyPath, value: Any) -> Mapping[str, Requirement]:
    """The [dependencies] table at `key`, unchanged; ConfigError for what pixi would not take."""
    _check_no_list(document, key, value)
    for name, requirement in table(document, key, value).items():
        place = (*key, name)
        if not _CONDA_NAME.fullmatch(name):
            raise document.error(place, f"{name!r} is not the name of a conda package", _conda_remedy(name))
        if isinstance(requirement, dict):
            _check_keys(document, place, requirement, CONDA_KEYS)
            _check_conda_version(document, place, requirement.get("version", "*"))
        else:
            _check_conda_version(document, place, _text(document, place, requirement))
    return dict(value)


def _conda_remedy(name: str) -> str:
    channel, separator, rest = name.partition("::")
    if separator:
        return f'Write {_bare(rest)} = {{ version = "*", channel = "{channel}" }}'
    return f'Write the bare name, and the version on the right: {_bare(name)} = "*"'


def _check_conda_version(document: Document, key: KeyPath, text: str) -> None:
    """ConfigError for what is no range in conda's words; what is inside one is for the solver to say."""
    if _CONDA_RANGE.fullmatch(text.strip()):
        return
    name, problem = dotted(key[-1:]), f"{text!r} is not a version of a conda package"
    if caret := re.fullmatch(r"\^\s*(\d+)([\w.]*)", text.strip()):
        remedy = f'Write {name} = ">={caret[1]}{caret[2]},<{int(caret[1]) + 1}"'
        raise document.error(key, problem, remedy)
    if "://" in text:
        raise document.error(key, problem, f'Write {name} = {{ url = "{text}" }}')
    raise document.error(key, problem, f'Write a range such as {name} = ">=1.2,<2", or "*" for any version')


def read_pypi(document: Document, key: KeyPath, value: Any) -> Mapping[str, Requirement]:
    """The [pypi-dependencies] table at `key`, unchanged; ConfigError for what pixi would not take."""
    _check_no_list(document, key, value)
    spellings: dict[str, str] = {}
    for name, requirement in table(document, key, value).items():
        place = (*key, name)
        other = spellings.setdefault(_SEPARATORS.sub("-", name).lower(), name)
        if other != name:
            problem = f"{other} and {name} are one package to PyPI"
            raise document.error(
                place,
                problem,
                f"Keep one of them; {other} stands on line {document.place((*key, other)).line}",
            )
        _check_pypi_name(document, place, name)
        if isinstance(requirement, dict):
            _check_pypi_table(document, place, requirement)
        else:
            _check_pypi_version(document, place, _text(document, place, requirement))
    return dict(value)


def _check_no_list(document: Document, key: KeyPath, value: Any) -> None:
    """ConfigError with the table that a list of requirement lines, as pip takes them, would be here."""
    if not isinstance(value, list) or any(isinstance(item, dict) for item in value):
        return
    problem = f"this should be a table, but is a list, {value!r}"
    lines = []
    for item in value:
        try:
            line = read_line(str(item))
        except NotARequirement:
            continue
        lines.append(f"{dotted((line.name,))} = {inline(line.requirement)}")
    example = ", ".join(lines) or 'name = "*"'
    raise document.error(key, problem, f"Write one line for each below [{dotted(key)}]: {example}")


def read_cuda_packages(document: Document, key: KeyPath, value: Any) -> tuple[str, ...]:
    """The names under [cuda] packages; ConfigError for anything else in that section."""
    section = table(document, key, value)
    for name in section:
        if name != "packages":
            remedy = f'List the names, without versions: [{dotted(key)}] packages = ["{name}"]'
            raise document.error((*key, name), f"[{dotted(key)}] has one key, packages, not {name!r}", remedy)
    place = (*key, "packages")
    names = strings(document, place, section.get("packages", []))
    for name in names:
        if not _PYPI_NAME.fullmatch(name):
            remedy = f'Write the bare name, "{_bare(name)}": the version follows from torch and CUDA'
            raise document.error(place, f"{name!r} is not the name of a package", remedy)
    return names


def _bare(name: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", name.strip(), maxsplit=1)[0] or "name"


def _check_pypi_name(document: Document, key: KeyPath, name: str) -> None:
    if match := _EXTRAS.fullmatch(name):
        listed = ", ".join(f'"{extra.strip()}"' for extra in match.group(2).split(","))
        remedy = f'Write {match.group(1)} = {{ version = "*", extras = [{listed}] }}'
        raise document.error(key, f"the extras of {name!r} do not belong in the name", remedy)
    if not _PYPI_NAME.fullmatch(name):
        try:
            line = read_line(name)
            example = f"{dotted((line.name,))} = {inline(line.requirement)}"
        except NotARequirement:
            example = f'{_bare(name)} = "*"'
        remedy = f"Write the bare name, and the version on the right: {example}"
        raise document.error(key, f"{name!r} is not the name of a PyPI package", remedy)
    if name.lower() == "python":
        remedy = 'Write python = "3.11" at the top of the file, above every section'
        raise document.error(key, "python is not a PyPI package", remedy)


def _text(document: Document, key: KeyPath, value: Any) -> str:
    """The requirement if it is a text that is not empty."""
    if isinstance(value, str) and value.strip():
        return value
    name = dotted(key[-1:])
    if isinstance(value, int | float) and not isinstance(value, bool):
        written = document.written_value(key) or str(value)
        problem = f"{written} without quotes is a number, not a version"
        raise document.error(key, problem, f'Write {name} = "=={written}.*", or "*" for any version')
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        problem = f"this should be a version, but is a list, {value!r}"
        raise document.error(key, problem, f'Write {name} = "{",".join(value)}"')
    problem = (
        "the version is empty"
        if value == ""
        else f"this should be a version, but is {kind(value)}, {value!r}"
    )
    raise document.error(key, problem, f'Write {name} = "*" for any version, or a range such as ">=1.2,<2"')


def _check_pypi_version(document: Document, key: KeyPath, text: str) -> None:
    clauses = text.rstrip(", ").split(",")
    if text.strip() != "*" and not all(_PYPI_CLAUSE.fullmatch(clause.strip()) for clause in clauses):
        raise _not_a_range(document, key, text)


def _not_a_range(document: Document, key: KeyPath, text: str) -> Exception:
    name, version = dotted(key[-1:]), text.strip()
    if ";" in text:
        return _marked(document, key, text)
    if _BARE_VERSION.fullmatch(version):
        remedy = f'Write {name} = "=={version}" for this version, or ">={version.removesuffix(".*")}" for it or newer'
        return document.error(key, f"{text!r} has no comparison, which PyPI versions need", remedy)
    if "://" in text:
        place = inline(read_line(f"{key[-1]} @ {text}").requirement)
        return document.error(key, f"{text!r} is a place, not a version", f"Write {name} = {place}")
    remedy = f'Write a range such as {name} = ">=1.2,<2", or "*" for any version'
    return document.error(key, f"{text!r} is not a PyPI version range", remedy)


def _marked(document: Document, key: KeyPath, text: str) -> Exception:
    version, _, marker = text.partition(";")
    written = f"{dotted(key[-1:])} = {inline(version.strip() or '*')}"
    try:
        targets = selectors(marker, None)
    except UnknownMarker:
        targets = ("<platform>",)
    lines = ", ".join(f"[{f'target.{name}.' if name else ''}pypi-dependencies] {written}" for name in targets)
    problem = f"{text!r} holds an environment marker, which pixi does not take here"
    return document.error(
        key, problem, f"Write {lines}" if targets else "Remove it: it applies to no platform"
    )


def _check_pypi_table(document: Document, key: KeyPath, requirement: Mapping[str, Any]) -> None:
    places = [name for name in _PLACES if name in requirement]
    if len(places) > 1:
        problem = f"the package is said to come from two places, {' and '.join(places)}"
        raise document.error(key, problem, f"Keep one of them, for instance {places[0]}")
    if places and "version" in requirement:
        problem = f"a version has no meaning beside {places[0]}, which is one version"
        raise document.error(
            (*key, "version"), problem, "Remove it; a repository may have rev, tag or branch"
        )
    source = next(iter(places), "version")
    allowed = {**PYPI_SOURCES[source], "extras": _STRINGS}
    _check_keys(document, key, requirement, allowed)
    if "version" in requirement:
        _check_pypi_version(document, (*key, "version"), requirement["version"])
    if "://" not in requirement.get("index", "://"):
        problem = f"{requirement['index']!r} is not the address of an index"
        raise document.error((*key, "index"), problem, 'Write it in full, "https://…/simple"')
    revisions = [name for name in _GIT_REVISIONS if name in requirement]
    if len(revisions) > 1:
        problem = f"{' and '.join(revisions)} name the same thing twice"
        raise document.error(key, problem, f"Keep one of them, for instance {revisions[-1]}")


def _check_keys(
    document: Document, key: KeyPath, requirement: Mapping[str, Any], allowed: Mapping[str, str]
) -> None:
    for name, value in requirement.items():
        place = (*key, name)
        if name not in allowed:
            known = ", ".join(sorted(allowed))
            raise document.error(
                place, f"{name!r} has no meaning here", f"Remove it; a requirement like this takes {known}"
            )
        if allowed[name] == _STRINGS:
            strings(document, place, value)
        elif allowed[name] not in (kind(value), _ANY) or value == "":
            problem = f"{name!r} should be {allowed[name]}, but is {kind(value)}, {value!r}"
            example = "true" if allowed[name] == _BOOLEAN else '"…"'
            raise document.error(place, problem, f"Write {name} = {example}")
