"""`comfy-env.toml`: what the environment of one isolated directory holds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .document import Document, read_document
from .errors import ConfigError, ConfigWarning
from .generations import PACK_SECTIONS, modernised
from .keys import KeyPath, dotted
from .options import Options, read_options
from .pixi_tables import PIXI_KEYS, SEVERAL_ENVIRONMENTS, check_pixi_table
from .prerequisites import PREREQUISITE_SECTIONS, Prerequisites, read_prerequisites
from .python_version import read_python
from .requirements import Requirement, read_conda, read_cuda_packages, read_pypi
from .values import inline, kind, table

_OURS = frozenset(("python", "dependencies", "pypi-dependencies", "cuda", "env_vars", "options"))
# What is asked for by the pack, not by one of its environments. Older forms had it here, beside the environments.
_OF_THE_PACK = frozenset((*PREREQUISITE_SECTIONS, "types"))
_KNOWN = _OURS | PIXI_KEYS | SEVERAL_ENVIRONMENTS
# What people write for a key of this file, by habit from other tools → where it belongs.
_HABITS = {
    **dict.fromkeys(
        ("pip", "pypi", "pip-dependencies", "requirements", "install-requires"), "[pypi-dependencies]"
    ),
    **dict.fromkeys(("conda-dependencies", "conda-packages"), "[dependencies]"),
    **dict.fromkeys(("python-version", "requires-python"), 'python = "3.11", at the top of the file'),
    **dict.fromkeys(("channels", "platforms"), "[workspace]"),
    **dict.fromkeys(("index-url", "extra-index-urls", "find-links", "no-build"), "[pypi-options]"),
    **dict.fromkeys(("environment", "environment-variables", "variables", "vars"), "[env_vars]"),
}
# Tables of pixi's that say nothing of an environment.
_WITHOUT_EFFECT = {
    "package": "[package] tells pixi how to build a conda package, and has no effect on an environment"
}
# Written beside [cuda] by forks for other GPUs.
_OTHER_GPUS = {"rocm": "AMD's GPUs", "xpu": "Intel's GPUs", "mps": "Apple's GPUs"}
_WITHOUT_PYTHON = (
    *("cuda", "env_vars", "options", "workspace", "project", "pypi-options", "activation"),
    "system-requirements",
)
_ROOT_FILE_NAME = "comfy-env-root.toml"
# A file that holds nothing but these made no environment when they were written.
_NOT_OF_AN_ENVIRONMENT = _OF_THE_PACK | PACK_SECTIONS


@dataclass(frozen=True)
class EnvSpec:
    """A `comfy-env.toml`, checked.

    `python` is a minor version ("3.10"), a patch release ("3.10.13"), a range (">=3.10,<3.12") or None for any.
    `dependencies` (conda) and `pypi_dependencies` map names to what the file says, in pixi's spelling; `python` is in
    neither. `passthrough` holds every other top-level key as TOML gave it; those of them that pixi's manifest does not
    know are named by `unknown` and have a warning each. `prerequisites` is what an older file asks for on behalf of its
    pack. `is_environment`: the file says something of an environment, or nothing at all; one that speaks of its pack
    alone isolates nothing.
    """

    path: Path
    source: bytes
    python: str | None
    dependencies: Mapping[str, Requirement]
    pypi_dependencies: Mapping[str, Requirement]
    cuda_packages: tuple[str, ...]
    env_vars: Mapping[str, str]
    options: Options
    passthrough: Mapping[str, Any]
    warnings: tuple[ConfigWarning, ...]
    prerequisites: Prerequisites = field(default_factory=Prerequisites)
    is_environment: bool = True

    @property
    def unknown(self) -> tuple[str, ...]:
        """The keys of `passthrough` that must stay out of pixi's manifest."""
        return tuple(name for name in self.passthrough if name not in PIXI_KEYS)


def parse_env(text: bytes, path: Path) -> EnvSpec:
    """The environment that `text` describes; `path` is for messages. Raises ConfigError, and nothing else."""
    as_written = read_document(text, path)
    _check_python_is_on_top(as_written)
    document, older = modernised(as_written, is_known=_is_known)
    unknown = _check_unclaimed(document)
    tables = document.tables
    options, option_warnings = read_options(document, ("options",), tables.get("options", {}))
    dependencies = read_conda(document, ("dependencies",), tables.get("dependencies", {}))
    return EnvSpec(
        path=path,
        source=text,
        python=_python(document, dependencies),
        dependencies={name: wanted for name, wanted in dependencies.items() if name != "python"},
        pypi_dependencies=read_pypi(document, ("pypi-dependencies",), tables.get("pypi-dependencies", {})),
        cuda_packages=read_cuda_packages(document, ("cuda",), tables.get("cuda", {})),
        env_vars=_env_vars(document, tables.get("env_vars", {})),
        options=options,
        passthrough={name: value for name, value in tables.items() if name not in _OURS | _OF_THE_PACK},
        warnings=_in_order(older, option_warnings, unknown, _of_the_pack(document)),
        prerequisites=read_prerequisites(document),
        is_environment=not as_written.tables or bool(as_written.tables.keys() - _NOT_OF_AN_ENVIRONMENT),
    )


def _check_python_is_on_top(document: Document) -> None:
    """ConfigError for a python that the section above it swallowed, where it would mean something else or nothing."""
    for section in _WITHOUT_PYTHON:
        content = document.tables.get(section)
        if isinstance(content, dict) and "python" in content:
            key: KeyPath = (section, "python")
            version = (document.written_value(key) or str(content["python"])).strip("\"'")
            problem = f"python stands below [{section}], and so belongs to that section"
            remedy = f'Move python = "{version}" to the top of the file, above every section'
            raise document.error(key, problem, remedy)


def _in_order(*warnings: Iterable[ConfigWarning]) -> tuple[ConfigWarning, ...]:
    """As somebody meets them who reads the file from its top."""
    return tuple(sorted(itertools.chain(*warnings), key=lambda warning: warning.line or 0))


def _is_known(name: str) -> bool:
    """Also of a slip in one of today's sections, which has an error of its own."""
    return (
        name in _KNOWN | _OF_THE_PACK | _WITHOUT_EFFECT.keys() | _OTHER_GPUS.keys()
        or _plain(name) in _HABITS
        or bool(_close_to(name))
    )


def _close_to(name: str) -> list[str]:
    return get_close_matches(_plain(name), sorted(_KNOWN), n=1, cutoff=0.8)


def _check_unclaimed(document: Document) -> tuple[ConfigWarning, ...]:
    """Checks every key that is not ours; a warning for each that nobody claims."""
    warnings: list[ConfigWarning] = []
    for name, value in document.tables.items():
        if name in SEVERAL_ENVIRONMENTS:
            remedy = (
                "Give each environment a comfy-env.toml of its own, in the directory of the nodes that use it"
            )
            raise document.error((name,), "one file describes one environment", remedy)
        if name in PIXI_KEYS - _OURS:
            check_pixi_table(document, name, value)
        elif name not in _OURS | _OF_THE_PACK:
            warnings.append(_unknown(document, name))
    return tuple(warnings)


def _unknown(document: Document, name: str) -> ConfigWarning:
    """A warning for a key nobody knows; ConfigError if it looks like a slip, since its packages would be missing."""
    if problem := _WITHOUT_EFFECT.get(name):
        return document.warning((name,), problem, "Remove it; a pixi.toml beside this file may hold it")
    if name in _OTHER_GPUS:
        written = f"{dotted((name,))} = {inline(document.tables[name])}"
        problem = f"{written} is for {_OTHER_GPUS[name]}, no index of wheels for them is known, and it has no effect"
        return document.warning((name,), problem, "Name the files: [pypi-dependencies] name = { url = … }")
    if home := _HABITS.get(_plain(name)):
        remedy = f"Write it under {home}" if home[0] == "[" else f"Write {home}"
        raise document.error((name,), f"{name!r} is not a key of this file", remedy)
    if close := _close_to(name):
        raise document.error(
            (name,), f"{name!r} is not a key of this file", f"Did you mean {close[0]!r}? Rename it"
        )
    remedy = "Remove it, or report it if it should mean something"
    written = f"{dotted((name,))} = {inline(document.tables[name])}"
    return document.warning((name,), f"{written} is not known here nor to pixi, and has no effect", remedy)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _of_the_pack(document: Document) -> Iterator[ConfigWarning]:
    for name in (name for name in document.tables if name in _OF_THE_PACK):
        content = table(document, (name,), document.tables[name])
        if not content or list(content.values()) == [[]]:
            continue
        lines = ", ".join(f"{dotted((key,))} = {inline(value)}" for key, value in content.items())
        problem = f"[{name}] is asked for by a pack, not by one of its environments"
        if name == "types":
            problem += ", and has no effect here"
        yield document.warning(
            (name,), problem, f"Move it into a {_ROOT_FILE_NAME} at the top of the pack: [{name}] {lines}"
        )


def _python(document: Document, dependencies: Mapping[str, Requirement]) -> str | None:
    """The Python asked for, at the top of the file or, as pixi has it, under [dependencies]."""
    top = document.tables.get("python")
    if "python" not in dependencies:
        return None if top is None else read_python(document, ("python",), top)
    key: KeyPath = ("dependencies", "python")
    wanted = dependencies["python"]
    if not isinstance(wanted, str):
        raise document.error(
            key, "python takes a version only", 'Write python = "3.11" at the top of the file'
        )
    below = read_python(document, key, wanted)
    if top is not None and below != read_python(document, ("python",), top):
        problem = f"Python is asked for twice, here and as python = {top!r} at the top of the file"
        raise document.error(key, problem, "Keep the one at the top")
    return below


def _env_vars(document: Document, value: Any) -> Mapping[str, str]:
    """The variables; whole numbers become their text, since no other reading of them is possible."""
    variables: dict[str, str] = {}
    for name, setting in table(document, ("env_vars",), value).items():
        key = ("env_vars", name)
        is_whole_number = isinstance(setting, int) and not isinstance(setting, bool)
        if not isinstance(setting, str) and not is_whole_number:
            raise _not_a_variable(document, key, setting)
        text = str(setting)
        if not name or "=" in name or "\0" in name + text:
            problem = "no system can hold this variable: its name is empty, or it contains '=' or a zero byte"
            raise document.error(key, problem, 'Write NAME = "value"')
        variables[name] = text
    return variables


def _not_a_variable(document: Document, key: KeyPath, setting: Any) -> ConfigError:
    written = document.written_value(key) or str(setting)
    problem = f"an environment variable is a string, but this is {kind(setting)}, {setting!r}"
    if isinstance(setting, dict | list):
        return document.error(key, problem, f'Write {key[-1]} = "value"')
    return document.error(key, problem, f'Write the exact text in quotes: {key[-1]} = "{written}"')
