"""The part of a file that goes to pixi's manifest: what may stand there.

Source: the JSON schema of pixi's manifest, 0.77. A slip in these tables would otherwise end a build much later, with an
error about a generated file that the author never saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .document import Document
from .keys import KeyPath
from .requirements import read_conda, read_pypi
from .shapes import (
    Check,
    any_text,
    boolean,
    each,
    fields,
    moment,
    one_kind,
    one_of,
    table_of,
    text,
    texts,
    url,
    version,
    whole_number,
)
from .values import kind, table

SEVERAL_ENVIRONMENTS = frozenset(("environments", "feature"))

_SYSTEMS = frozenset(("unix", "linux", "osx", "win"))
_ARCHITECTURES = frozenset(
    (
        *("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64", "win-arm64", "linux-32", "win-32"),
        *("linux-armv6l", "linux-armv7l", "linux-ppc64", "linux-ppc64le", "linux-riscv32", "linux-riscv64"),
        *("linux-s390x", "emscripten-wasm32", "wasi-wasm32", "zos-z", "noarch"),
    )
)
_USUAL_NAMES = {
    "windows": "win",
    "win32": "win",
    "macos": "osx",
    "darwin": "osx",
    "linux64": "linux-64",
    "linux-x86_64": "linux-64",
    "linux-x86-64": "linux-64",
    "linux-arm64": "linux-aarch64",
    "win64": "win-64",
    "windows-64": "win-64",
    "macos-arm64": "osx-arm64",
}


# What a file has for all platforms together, and how the same is said for one.
_NOT_OF_A_TARGET = {
    "cuda": "Move it to [cuda], which leaves out by itself what a platform does not have",
    "env_vars": 'Write [target.{0}.activation] env = {{ NAME = "value" }}',
    "python": 'Write [target.{0}.dependencies] python = "3.11.*"',
}


def check_pixi_table(document: Document, name: str, value: Any) -> None:
    """ConfigError if the top-level key `name` cannot be what pixi takes under it."""
    _TOP_LEVEL[name](document, (name,), value)


def _conda(document: Document, key: KeyPath, value: Any) -> None:
    read_conda(document, key, value)


def _pypi(document: Document, key: KeyPath, value: Any) -> None:
    read_pypi(document, key, value)


def _channel(document: Document, key: KeyPath, value: Any) -> None:
    """A name or a URL, or a table with a priority beside it."""
    if isinstance(value, dict):
        _CHANNEL_TABLE(document, key, value)
    elif not isinstance(value, str) or not value.strip():
        problem = f"a channel should be its name or URL, but one is {kind(value)}, {value!r}"
        raise document.error(key, problem, 'Write channels = ["conda-forge"]')


def _platform(document: Document, key: KeyPath, value: Any) -> None:
    """A platform's name, or a table of what a machine has to guarantee; names of the author's own stand for tables."""
    name = value.get("platform", value.get("name")) if isinstance(value, dict) else value
    if isinstance(value, dict):
        _PLATFORM_TABLE(document, key, value)
    if not isinstance(name, str) or name not in _ARCHITECTURES:
        usual = _usual_platform(name)
        problem = f"{name!r} is not a platform"
        raise document.error(
            key, problem, f'Write "{usual}"; platforms are linux-64, osx-arm64, win-64 and so on'
        )


def _usual_platform(name: Any) -> str:
    usual = _USUAL_NAMES.get(str(name).lower(), "linux-64")
    return {"win": "win-64", "osx": "osx-arm64"}.get(usual, usual)


def _targets(document: Document, key: KeyPath, value: Any) -> None:
    for platform, content in table(document, key, value).items():
        if platform not in _SYSTEMS | _ARCHITECTURES:
            usual = _USUAL_NAMES.get(platform.lower(), "linux-64")
            known = ", ".join(sorted(_SYSTEMS))
            remedy = (
                f"Write [target.{usual}]; known are {known} and platforms such as linux-64, osx-arm64, win-64"
            )
            raise document.error((*key, platform), f"{platform!r} is not a platform", remedy)
        for name, remedy in _NOT_OF_A_TARGET.items():
            if isinstance(content, dict) and name in content:
                problem = f"{name!r} has no meaning for one platform"
                raise document.error((*key, platform, name), problem, remedy.format(platform))
        _TARGET(document, (*key, platform), content)


def _tool(document: Document, key: KeyPath, value: Any) -> None:
    if "pixi" in table(document, key, value):
        problem = "[tool.pixi] is for a pyproject.toml; nobody reads it here"
        raise document.error((*key, "pixi"), problem, "Write its tables at the top level: [dependencies]")


def _link(document: Document, key: KeyPath, value: Any) -> None:
    """A place with wheels: { path = "…" } or { url = "…" }."""
    if isinstance(value, str):
        table_form = f'{{ {"url" if "://" in value else "path"} = "{value}" }}'
        raise document.error(
            key, f"a place with wheels is a table, not {value!r}", f"Write {key[-1]} = [{table_form}]"
        )
    fields({"path": text, "url": text})(document, key, value)
    if len(value) != 1:
        raise document.error(
            key, f"a place with wheels has one of path and url, not {value!r}", "Keep one of them"
        )


def _no_mapping(document: Document, key: KeyPath, value: Any) -> None:
    if value is not False:
        raise document.error(
            key, f"{value!r} is no mapping of names", f"Write {key[-1]} = false, or name a file"
        )


def _named_task(document: Document, key: KeyPath, value: Any) -> None:
    if any(character.isspace() or character == "$" for character in key[-1]) or not key[-1]:
        problem = f"{key[-1]!r} cannot be the name of a task"
        raise document.error(key, problem, "Use a name without blanks and dollar signs")
    one_kind((str, text), (list, each(_DEPENDENCY)), (dict, _TASK))(document, key, value)


_PACKAGES_OR_ALL = one_kind((bool, boolean), (list, texts))
_CHANNEL_TABLE = fields({"channel": text, "priority": whole_number, "exclude-newer": moment}, ("channel",))
_PLATFORM_TABLE = fields(
    {
        "platform": text,
        "cuda": one_kind((str, text), (dict, fields({"driver": text, "arch": text}, ("driver",)))),
        **dict.fromkeys(("name", "archspec", "glibc", "linux", "macos", "osx", "windows"), text),
    }
)
_ACTIVATION = fields({"env": table_of(text), "scripts": texts})
_SOURCE = fields(
    dict.fromkeys(("branch", "git", "md5", "path", "rev", "sha256", "subdirectory", "tag", "url"), text)
)
_DEPENDENCY = fields(
    {"task": text, "environment": text, "args": each(one_kind((str, any_text), (dict, table_of(any_text))))},
    ("task",),
)
_ARGUMENT = fields({"arg": text, "default": any_text, "choices": texts}, ("arg",))
_MAPPING = fields(
    {
        "location": text,
        "mapping": table_of(one_kind((str, text), (list, texts), (bool, _no_mapping))),
        "mapping-mode": one_of("overlay", "replace"),
        "same-name-heuristic": boolean,
    }
)
_TASK = fields(
    {
        "cmd": one_kind((str, text), (list, texts)),
        "depends-on": one_kind(
            (str, text), (list, each(one_kind((str, text), (dict, _DEPENDENCY)))), (dict, _DEPENDENCY)
        ),
        "depends_on": one_kind((str, text), (list, texts)),
        "env": table_of(text),
        "clean-env": boolean,
        "args": each(one_kind((str, text), (dict, _ARGUMENT))),
        **dict.fromkeys(("cwd", "description", "default-environment"), text),
        **dict.fromkeys(("inputs", "outputs"), texts),
    }
)
_CONDA_TABLES: Mapping[str, Check] = dict.fromkeys(
    ("dependencies", "build-dependencies", "host-dependencies", "constraints"), _conda
)
_TARGET = fields(
    {
        **_CONDA_TABLES,
        "pypi-dependencies": _pypi,
        "activation": _ACTIVATION,
        "dev": table_of(_SOURCE),
        "tasks": table_of(_named_task),
    }
)
_PYPI_OPTIONS = fields(
    {
        "index-url": url,
        "extra-index-urls": each(url),
        "find-links": each(_link),
        "index-strategy": one_of("first-index", "unsafe-first-match", "unsafe-best-match"),
        "prerelease-mode": one_of(
            "disallow", "allow", "if-necessary", "explicit", "if-necessary-or-explicit"
        ),
        "dependency-overrides": _pypi,
        "skip-wheel-filename-check": boolean,
        **dict.fromkeys(("no-build", "no-binary", "no-build-isolation"), _PACKAGES_OR_ALL),
    }
)
_SYSTEM_REQUIREMENTS = fields(
    {
        "archspec": text,
        "cuda": version,
        "linux": version,
        "macos": version,
        "unix": one_kind((str, text), (bool, boolean)),
        "libc": one_kind(
            (str, version),
            (int, version),
            (float, version),
            (dict, fields({"family": text, "version": version})),
        ),
    }
)
_BUILD_VARIANTS = table_of(each(any_text))
_WORKSPACE = fields(
    {
        "channels": each(_channel),
        "platforms": each(_platform),
        "channel-priority": one_of("strict", "flexible", "disabled"),
        "solve-strategy": one_of("highest", "lowest", "lowest-direct"),
        "exclude-newer": moment,
        "pypi-options": _PYPI_OPTIONS,
        "conda-pypi-map": one_kind(
            (dict, table_of(one_kind((str, text), (bool, _no_mapping), (dict, _MAPPING)))),
            (bool, _no_mapping),
        ),
        "preview": one_kind((list, each(any_text)), (bool, boolean)),
        "dependencies": _conda,
        "authors": texts,
        "build-variants": _BUILD_VARIANTS,
        "build-variants-files": texts,
        "target": table_of(fields({"build-variants": _BUILD_VARIANTS})),
        "s3-options": table_of(
            fields(
                {"endpoint-url": text, "region": text, "force-path-style": boolean},
                ("endpoint-url", "region", "force-path-style"),
            )
        ),
        **dict.fromkeys(("name", "version", "description", "license", "license-file", "readme"), text),
        **dict.fromkeys(("homepage", "repository", "documentation", "requires-pixi"), text),
    }
)

_TOP_LEVEL: Mapping[str, Check] = {
    **_CONDA_TABLES,
    "$schema": text,
    "activation": _ACTIVATION,
    "dev": table_of(_SOURCE),
    "exclude-newer": one_kind((str, moment), (dict, table_of(moment))),
    "project": _WORKSPACE,
    "pypi-dependencies": _pypi,
    "pypi-exclude-newer": table_of(moment),
    "pypi-options": _PYPI_OPTIONS,
    "system-requirements": _SYSTEM_REQUIREMENTS,
    "target": _targets,
    "tasks": table_of(_named_task),
    "tool": _tool,
    "workspace": _WORKSPACE,
}

#: The top level of pixi's manifest, less what names several environments: one file is one.
PIXI_KEYS = frozenset(_TOP_LEVEL)
