"""Paths that a file names: relative to it, while its manifest lies elsewhere, so they become absolute."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from comfy_env_core.config import Requirement

#: Keys of `[workspace]` that name one file, or several.
_FILES = ("license-file", "readme")
_LISTS_OF_FILES = ("build-variants-files",)

Rooting = Callable[[str], str]


def rooting(base: Path) -> Rooting:
    """Makes a path absolute, as seen from `base`; "~" is the user's home. With "/" on every system, as TOML wants."""

    def root(text: str) -> str:
        return Path(os.path.normpath(base.absolute() / Path(text).expanduser())).as_posix()

    return root


def rooted_requirements(requirements: Mapping[str, Requirement], root: Rooting) -> dict[str, Requirement]:
    """The requirements, their `path` absolute."""
    return {name: _rooted(requirement, root, "path") for name, requirement in requirements.items()}


def rooted_tables(tables: Mapping[str, Any], root: Rooting) -> dict[str, Any]:
    """The other tables of a file (values as TOML gave them), with the paths in them absolute."""
    ways: Mapping[str, Callable[[Any, Rooting], Any]] = {
        "pypi-options": _rooted_options,
        "workspace": _rooted_workspace,
        "project": _rooted_workspace,
        "activation": lambda table, root: _rooted_lists(table, root, "scripts"),
        "dev": rooted_requirements,
        "tasks": lambda table, root: {name: _rooted(task, root, "cwd") for name, task in table.items()},
    }
    return {name: ways[name](table, root) if name in ways else table for name, table in tables.items()}


def _rooted(value: Any, root: Rooting, *keys: str) -> Any:
    """The table with these keys made absolute; what is no table names no path."""
    if not isinstance(value, Mapping):
        return value
    return {key: root(inner) if key in keys else inner for key, inner in value.items()}


def _rooted_lists(table: Mapping[str, Any], root: Rooting, *keys: str) -> dict[str, Any]:
    return {key: [root(path) for path in inner] if key in keys else inner for key, inner in table.items()}


def _rooted_options(options: Mapping[str, Any], root: Rooting) -> dict[str, Any]:
    rooted = dict(options)
    if "find-links" in rooted:
        rooted["find-links"] = [_rooted(link, root, "path") for link in rooted["find-links"]]
    if "dependency-overrides" in rooted:
        rooted["dependency-overrides"] = rooted_requirements(rooted["dependency-overrides"], root)
    return rooted


def _rooted_workspace(workspace: Mapping[str, Any], root: Rooting) -> dict[str, Any]:
    rooted = _rooted_lists(_rooted(workspace, root, *_FILES), root, *_LISTS_OF_FILES)
    if "pypi-options" in rooted:
        rooted["pypi-options"] = _rooted_options(rooted["pypi-options"], root)
    if isinstance(rooted.get("conda-pypi-map"), Mapping):
        mapping = rooted["conda-pypi-map"]
        rooted["conda-pypi-map"] = {
            channel: _rooted_mapping(place, root) for channel, place in mapping.items()
        }
    return rooted


def _rooted_mapping(place: Any, root: Rooting) -> Any:
    """A mapping of names lies at a path or a URL, alone or under `location`."""
    if isinstance(place, str):
        return place if "://" in place else root(place)
    if isinstance(place, Mapping) and "://" not in str(place.get("location", "://")):
        return _rooted(place, root, "location")
    return place
