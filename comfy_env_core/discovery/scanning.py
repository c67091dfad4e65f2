"""One look at the custom_nodes directories: which packs there are, and which directories of theirs are isolated."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from ..config import ConfigError, EnvSpec, RootSpec, parse_env, parse_root
from .mistakes import NEAR_MISSES, beside_packs, misnamed, nested_in_isolated_pack, of_the_pack_alone
from .site import Mistake, Pack, Scan, Site, Skipped
from .walking import is_foreign, walk

ENV_FILE_NAME = "comfy-env.toml"
ROOT_FILE_NAME = "comfy-env-root.toml"
_FILE_NAMES = frozenset((ENV_FILE_NAME, ROOT_FILE_NAME))
_NOTED_NAMES = _FILE_NAMES | NEAR_MISSES
_OUR_PACKAGE = "comfy_env_core"

Spec = TypeVar("Spec", EnvSpec, RootSpec)
Skip = Callable[[Path], "str | None"]


@dataclass
class _Findings:
    """A scan under way."""

    packs: dict[str, Pack] = field(default_factory=dict)
    sites: list[Site] = field(default_factory=list)
    roots: dict[str, RootSpec] = field(default_factory=dict)
    root_errors: dict[str, ConfigError] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)


def host_skips(disable_all: bool, whitelist: Collection[str]) -> Skip:
    """Why ComfyUI would not load the pack at a path, or None if it would (`nodes.init_external_custom_nodes`)."""

    def skip(path: Path) -> str | None:
        if path.name.endswith(".disabled"):
            return "its name ends in .disabled"
        if disable_all and path.name not in whitelist:
            return "ComfyUI runs with --disable-all-custom-nodes and its whitelist does not name this pack"
        return None

    return skip


def scan(directories: Sequence[Path], skip: Skip) -> Scan:
    """What the packs in these custom_nodes directories ask for, in the order of the directories, then of the names.

    `skip` says why a pack is not to be looked at, or None. A configuration that is wrong becomes its site's `error`;
    a directory that cannot be read is among `skipped`. Nothing is raised, nothing written, no code of a pack executed.
    """
    started_s = perf_counter()
    findings = _Findings()
    for directory in _once(directories):
        for path in _pack_directories(directory, skip, findings):
            pack = Pack(_unique_name(path.name, findings.packs), path)
            _look_into(pack, findings)
    return Scan(
        packs=tuple(findings.packs.values()),
        sites=tuple(findings.sites),
        roots=findings.roots,
        root_errors=findings.root_errors,
        skipped=tuple(findings.skipped),
        duration_s=perf_counter() - started_s,
        mistakes=tuple(findings.mistakes),
    )


def _once(directories: Sequence[Path]) -> Iterator[Path]:
    """Each directory at its first mention: extra_model_paths.yaml may name the usual one again."""
    seen: set[str] = set()
    for directory in directories:
        identity = os.path.normcase(os.path.abspath(directory))
        if identity not in seen:
            seen.add(identity)
            yield directory


def _pack_directories(directory: Path, skip: Skip, findings: _Findings) -> list[Path]:
    """The packs of one custom_nodes directory, by name; what is passed over is noted."""
    try:
        with os.scandir(directory) as entries:
            candidates = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        findings.skipped.append(Skipped(str(directory), _unreadable(error)))
        return []
    paths: list[Path] = []
    for entry in candidates:
        if entry.name == "__pycache__":
            continue
        try:
            if not entry.is_dir():
                findings.mistakes += beside_packs(directory / entry.name)
                continue
        except OSError as error:  # a link into a place that may not be entered
            findings.skipped.append(Skipped(entry.name, _unreadable(error)))
            continue
        path = directory / entry.name
        if reason := _reason_to_skip(path, skip):
            findings.skipped.append(Skipped(entry.name, reason))
        else:
            paths.append(path)
    return paths


def _reason_to_skip(path: Path, skip: Skip) -> str | None:
    if reason := skip(path):
        return reason
    if is_foreign(path.name):
        return "its name is that of a hidden directory, an environment or a cache"
    if os.path.isdir(os.path.join(path, _OUR_PACKAGE)):
        return "it is comfy-env manager itself"
    return None


def _unique_name(name: str, taken: Collection[str]) -> str:
    """Two custom_nodes directories may hold packs of one name, and ComfyUI loads both."""
    number = 2
    unique = name
    while unique in taken:
        unique = f"{name}~{number}"
        number += 1
    return unique


def _look_into(pack: Pack, findings: _Findings) -> None:
    """Adds the pack with its sites and root files."""
    top = str(pack.path)
    sites: list[Site] = []
    was_entered = False

    def name_of(directory: str) -> str:
        return pack.name + directory[len(top) :].replace(os.sep, "/")

    def on_unreadable(directory: str, error: OSError) -> None:
        findings.skipped.append(Skipped(name_of(directory), _unreadable(error)))

    reported_before = len(findings.skipped)
    for directory, files in walk(top, _NOTED_NAMES.__contains__, on_unreadable):
        was_entered = True
        for entry in files:
            path = Path(entry.path)
            if entry.name == ROOT_FILE_NAME:
                _add_root(name_of(directory), path, findings)
            elif entry.name != ENV_FILE_NAME:
                findings.mistakes.append(misnamed(path))
            elif (site := read_site(pack, path)).spec is None or site.spec.is_environment:
                sites.append(site)
            else:
                findings.mistakes.append(of_the_pack_alone(path))
                if not path.with_name(ROOT_FILE_NAME).exists():
                    _add_root(name_of(directory), path, findings)
    if not was_entered and len(findings.skipped) == reported_before:
        findings.skipped.append(Skipped(pack.name, "it is a Python environment, not a pack"))
        return
    findings.packs[pack.name] = pack
    findings.sites.extend(sorted(sites, key=lambda site: site.id))
    findings.mistakes += nested_in_isolated_pack(sites)


def _add_root(name: str, path: Path, findings: _Findings) -> None:
    spec, error = _read(parse_root, path)
    if spec is not None:
        findings.roots[name] = spec
    if error is not None:
        findings.root_errors[name] = error


def read_site(pack: Pack, config_path: Path) -> Site:
    """The site as its file is now. Never raises for what the file holds, nor for one that is gone."""
    spec, error = _read(parse_env, config_path)
    return Site(pack, config_path.parent, config_path, spec, error)


def _read(parse: Callable[[bytes, Path], Spec], path: Path) -> tuple[Spec | None, ConfigError | None]:
    """The parsed file or what is wrong with it, never both."""
    try:
        if not path.is_file():  # opening a named pipe would wait for ever
            problem = "this is not a file, or a link to a file that is gone"
            return None, ConfigError(path, None, None, problem, "Put the file there, or remove it")
        return parse(path.read_bytes(), path), None
    except ConfigError as error:
        return None, error
    except OSError as error:
        remedy = "Make it readable for the user who runs ComfyUI"
        return None, ConfigError(path, None, None, f"the file {_unreadable(error)}", remedy)


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
