"""Which packages a pack probably needs, told from its requirements.txt and from what its source imports."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from comfy_env_core.building.distribution_names import DISTRIBUTION_OF_MODULE, distribution_of_module
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.toml_text import toml_key, toml_value
from comfy_env_core.config import ConfigError, parse_env
from comfy_env_core.config.markers import UnknownMarker, selectors
from comfy_env_core.config.requirement_lines import NotARequirement, read_line
from comfy_env_core.discovery import ENV_FILE_NAME
from comfy_env_core.discovery.host_names import HOST_MODULES, TORCH_FAMILY
from comfy_env_core.discovery.imports import Import, read_imports
from comfy_env_core.discovery.walking import walk

#: Directories whose files do not run when the nodes do.
_NOT_NODES = re.compile(
    r"(^|/)(tests?|docs?|examples?|scripts|tools|setup\.py|install\.py|conftest\.py)(/|$)"
)
_GENERATED_HERE = frozenset(("comfy_env", "setuptools", "pkg_resources", "pip"))


@dataclasses.dataclass(frozen=True)
class Wanted:
    """One package. `value`: as `[pypi-dependencies]` has it. `section`: "" or the platforms, "win", of a [target].

    `origin`: where that was found, for a comment. `is_sure`: False for one whose import may fail by intent.
    """

    name: str
    value: str | Mapping[str, Any]
    origin: str
    section: str = ""
    is_sure: bool = True


@dataclasses.dataclass(frozen=True)
class Findings:
    """`remarks`: lines that could not be carried over, each with the reason. `indexes`: of --extra-index-url."""

    wanted: tuple[Wanted, ...]
    remarks: tuple[str, ...]
    indexes: tuple[str, ...]


def find_wanted(directory: Path) -> Findings:
    """Reads requirements.txt and all Python files below `directory`; executes none. Raises OSError."""
    remarks: list[str] = []
    indexes: list[str] = []
    listed = list(_from_requirements(directory / "requirements.txt", remarks, indexes))
    known = {normalised_name(one.name) for one in listed}
    imported = [one for one in _from_imports(directory) if normalised_name(one.name) not in known]
    return Findings((*listed, *imported), tuple(remarks), tuple(indexes))


def _from_requirements(path: Path, remarks: list[str], indexes: list[str]) -> Iterator[Wanted]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            continue
        index = re.fullmatch(r"--(?:extra-)?index-url[=\s]+(\S+)", text)
        if index is not None:
            indexes.append(index[1])
            continue
        try:
            yield from _wanted_by(text)
        except (NotARequirement, UnknownMarker) as error:
            remarks.append(f"{text} (not carried over: {error})")
        except ConfigError as error:
            remarks.append(f"{text} (not carried over: {error.problem})")


def _wanted_by(text: str) -> Iterator[Wanted]:
    """One for each platform that its marker names. Raises NotARequirement, UnknownMarker, and ConfigError for a version
    that is none."""
    line = read_line(text)
    alone = f"[pypi-dependencies]\n{toml_key(line.name)} = {toml_value(line.requirement)}\n"
    parse_env(alone.encode(), Path(ENV_FILE_NAME))
    if line.name.lower() in TORCH_FAMILY and line.requirement == "*":
        return  # whoever imports it gets ComfyUI's version
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for section in selectors(line.marker, python) if line.marker else ("",):
        yield Wanted(line.name, line.requirement, "requirements.txt", section)


def _from_imports(directory: Path) -> Iterator[Wanted]:
    """The first import of each module that is neither the pack's, nor Python's, nor ComfyUI's."""
    distributions = metadata.packages_distributions()
    found: dict[str, tuple[Import, str]] = {}
    for path in _source_files(directory):
        relative = path.relative_to(directory).as_posix()
        for each in read_imports(path.read_bytes()).imports:
            top = each.module.partition(".")[0]
            if each.level or not top or _is_given(top, directory, path):
                continue
            earlier = found.get(top)
            if earlier is None or (earlier[0].is_guarded and not each.is_guarded):
                found[top] = (each, f"{relative}, line {each.line}")
    for top, (each, place) in sorted(found.items()):
        name = _distribution(top, distributions)
        yield Wanted(name, "*", f"imported by {place}", is_sure=not each.is_guarded)


def _distribution(module: str, installed: Mapping[str, list[str]]) -> str:
    """The usual one, else the one that brings the module to ComfyUI's Python, else a guess."""
    if module in DISTRIBUTION_OF_MODULE or module not in installed:
        return distribution_of_module(module)
    return installed[module][0]


def _source_files(directory: Path) -> list[Path]:
    def skip_unreadable(_directory: str, _error: OSError) -> None:
        """What cannot be read cannot be imported either."""

    found = [
        Path(entry.path)
        for _, files in walk(str(directory), lambda name: name.endswith(".py"), skip_unreadable)
        for entry in files
    ]
    return sorted(path for path in found if not _NOT_NODES.search(path.relative_to(directory).as_posix()))


def _is_given(top: str, directory: Path, path: Path) -> bool:
    """Python's own, ComfyUI's, added by itself, or a module that lies in the pack."""
    if top in sys.stdlib_module_names or top in TORCH_FAMILY or top in _GENERATED_HERE:
        return True
    if any(module.partition(".")[0] == top for module in HOST_MODULES):
        return True
    places = (directory, *path.parents[: len(path.relative_to(directory).parts)])
    return any((place / f"{top}.py").is_file() or (place / top).is_dir() for place in places)
