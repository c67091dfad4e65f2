"""`comfy-env.toml`: what the environment of one isolated directory holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .document import Document, KeyPath, read_document
from .errors import ConfigError, ConfigWarning
from .generations import OLDER_ENVIRONMENT_SECTIONS, refuse_named_environments, refuse_older_forms
from .options import Options, read_options
from .pixi_tables import PIXI_KEYS, SEVERAL_ENVIRONMENTS, check_pixi_table
from .python_version import read_python
from .requirements import Requirement, read_conda, read_cuda_packages, read_pypi
from .values import kind, table

_OURS = frozenset(("python", "dependencies", "pypi-dependencies", "cuda", "env_vars", "options"))
_KNOWN = _OURS | PIXI_KEYS | SEVERAL_ENVIRONMENTS


@dataclass(frozen=True)
class EnvSpec:
    """A `comfy-env.toml`, checked.

    `python` is a minor version ("3.10"), a patch release ("3.10.13"), a range (">=3.10,<3.12") or None for any.
    `dependencies` (conda) and `pypi_dependencies` map names to what the file says, in pixi's spelling; `python` is in
    neither. `passthrough` holds every other top-level key as TOML gave it; those of them that pixi's manifest does not
    know are named by `unknown` and have a warning each.
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

    @property
    def unknown(self) -> tuple[str, ...]:
        """The keys of `passthrough` that must stay out of pixi's manifest."""
        return tuple(name for name in self.passthrough if name not in PIXI_KEYS)


def parse_env(text: bytes, path: Path) -> EnvSpec:
    """The environment that `text` describes; `path` is for messages. Raises ConfigError, and nothing else."""
    document = read_document(text, path)
    refuse_older_forms(document, OLDER_ENVIRONMENT_SECTIONS)
    refuse_named_environments(document, _KNOWN)
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
        passthrough={name: value for name, value in tables.items() if name not in _OURS},
        warnings=option_warnings + unknown,
    )


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
        elif name not in _OURS:
            warnings.append(_unknown(document, name))
    return tuple(warnings)


def _unknown(document: Document, name: str) -> ConfigWarning:
    """A warning for a key nobody knows; ConfigError if it looks like a slip, since its packages would be missing."""
    if close := get_close_matches(name.lower().replace("_", "-"), sorted(_KNOWN), n=1, cutoff=0.8):
        raise document.error(
            (name,), f"{name!r} is not a key of this file", f"Did you mean {close[0]!r}? Rename it"
        )
    remedy = "Remove it, or report it if it should mean something"
    return document.warning((name,), f"{name!r} is not known here nor to pixi, and has no effect", remedy)


def _python(document: Document, dependencies: Mapping[str, Requirement]) -> str | None:
    """The Python asked for, at the top of the file or, as pixi has it, under [dependencies]."""
    top = document.tables.get("python")
    if "python" not in dependencies:
        return None if top is None else read_python(document, ("python",), top)
    key: KeyPath = ("dependencies", "python")
    if top is not None:
        problem = f"Python is asked for twice, here and as python = {top!r} at the top of the file"
        raise document.error(key, problem, "Keep the one at the top")
    wanted = dependencies["python"]
    if isinstance(wanted, str):
        return read_python(document, key, wanted)
    raise document.error(key, "python takes a version only", 'Write python = "3.11" at the top of the file')


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
