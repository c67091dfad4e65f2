"""The packs that lie in custom_nodes, known by their directory, their repository and their id in the registry."""

from __future__ import annotations

import configparser
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.config import GitSource, NodeRequirement, RefKind, RegistrySource
from comfy_env_core.prerequisites.packs.addresses import repository_identity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SUFFIX = ".disabled"
#: Where ComfyUI-Manager keeps packs that were switched off, as "name@version".
_SHELF = ".disabled"


@dataclasses.dataclass(frozen=True)
class PresentPack:
    """`repository` as `repository_identity` has it; `commit` in full; `registry_id` and `version` from pyproject.toml.

    What the pack's files do not tell is None.
    """

    path: Path
    directory: str
    is_disabled: bool
    repository: str | None
    commit: str | None
    branch: str | None
    registry_id: str | None
    version: str | None


def present_packs(custom_nodes: Path) -> tuple[PresentPack, ...]:
    """Every directory of `custom_nodes`, also those that ComfyUI would not load. No code of a pack is run."""
    return tuple(sorted(_packs(custom_nodes), key=lambda pack: (pack.is_disabled, pack.directory)))


def find(requirement: NodeRequirement, packs: tuple[PresentPack, ...]) -> PresentPack | None:
    """The pack that is asked for, under its name or another; one that is loaded before one that is switched off."""
    return next((pack for pack in packs if _is_same(requirement, pack)), None)


def difference(requirement: NodeRequirement, pack: PresentPack) -> str | None:
    """How the pack that is there differs from the version asked for, None if it does not as far as its files tell."""
    source = requirement.source
    if isinstance(source, RegistrySource):
        if source.version in (None, pack.version):
            return None
        return f"version {source.version} is asked for, {pack.version or 'another one'} is there"
    if pack.repository not in (None, repository_identity(source.url)):
        return f"{source.url} is asked for, {pack.repository} is there"
    if source.ref is None or _is_at(source, pack):
        return None
    assert source.ref_kind is not None  # with a ref there is its kind
    there = pack.version or (pack.commit or "another one")[:12]
    return f"{source.ref_kind.value} {source.ref} is asked for, {there} is there"


def _packs(custom_nodes: Path) -> Iterator[PresentPack]:
    for path in custom_nodes.iterdir():
        if path.name == _SHELF and path.is_dir():
            yield from (_look_at(inner, is_disabled=True) for inner in path.iterdir() if inner.is_dir())
        elif path.name != "__pycache__" and path.is_dir():
            yield _look_at(path, is_disabled=path.name.endswith(_SUFFIX))


def _look_at(path: Path, *, is_disabled: bool) -> PresentPack:
    project = _project(path / "pyproject.toml")
    commit, branch = _head(path)
    remote = _remote(path / ".git" / "config")
    return PresentPack(
        path=path,
        directory=path.name.removesuffix(_SUFFIX).partition("@")[0],
        is_disabled=is_disabled,
        repository=repository_identity(remote) if remote else None,
        commit=commit,
        branch=branch,
        registry_id=project.get("name") if isinstance(project.get("name"), str) else None,
        version=project.get("version") if isinstance(project.get("version"), str) else None,
    )


def _is_same(requirement: NodeRequirement, pack: PresentPack) -> bool:
    # Two names that differ in case alone are one directory on Windows and on most Macs.
    if pack.directory.casefold() == requirement.directory.casefold():
        return True
    if isinstance(requirement.source, GitSource):
        return pack.repository == repository_identity(requirement.source.url)
    # Ids of the registry are compared without case; in projects' names "_", "-" and "." count as one (PEP 503).
    wanted = normalised_name(requirement.source.node_id)
    return pack.registry_id is not None and normalised_name(pack.registry_id) == wanted


def _is_at(source: GitSource, pack: PresentPack) -> bool:
    if source.ref_kind is RefKind.COMMIT:
        return pack.commit is not None and pack.commit.startswith(source.ref or "")
    if source.ref_kind is RefKind.BRANCH:
        return pack.branch == source.ref
    return pack.version is not None and pack.version == (source.ref or "").lstrip("vV")


def _project(path: Path) -> dict[str, Any]:
    """The [project] table. Any: of a file that anybody may have written."""
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):  # none there, or not TOML: then the file does not tell
        return {}
    return project if isinstance(project, dict) else {}


def _remote(config: Path) -> str | None:
    """The address of "origin", else of the only remote. git need not be installed to tell."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
    try:
        lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
        parser.read_string("\n".join(line.strip() for line in lines))
    except (OSError, configparser.Error):
        return None
    remotes = {name: parser[name].get("url") for name in parser.sections() if name.startswith("remote ")}
    return remotes.get('remote "origin"') or next(iter(remotes.values()), None)


def _head(path: Path) -> tuple[str | None, str | None]:
    """The commit and the branch that are checked out."""
    git = path / ".git"
    head = _line(git / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head, None
    ref = head.removeprefix("ref: ")
    commit = _line(git / ref)
    if commit is None:
        packed = (_text(git / "packed-refs") or "").splitlines()
        commit = next((line.partition(" ")[0] for line in packed if line.endswith(f" {ref}")), None)
    return commit, ref.removeprefix("refs/heads/")


def _line(path: Path) -> str | None:
    text = _text(path)
    return text.strip() if text else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
