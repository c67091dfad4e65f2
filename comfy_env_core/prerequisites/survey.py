"""What the packs of a scan ask for outside of environments, and what of it is missing. Reads files, runs nothing."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from comfy_env_core.config import GitSource, NodeRequirement, Prerequisites, RegistrySource
from comfy_env_core.discovery import Pack, Scan
from comfy_env_core.prerequisites.asked import asked_for, unreadable
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.installing import Result, Wanted, look_for
from comfy_env_core.prerequisites.packs.present import PresentPack, present_packs
from comfy_env_core.prerequisites.system.choosing import concerns_this_system, this_system, why_nobody_knows
from comfy_env_core.prerequisites.system.contract import SystemPackages


@dataclasses.dataclass(frozen=True)
class SystemNeeds:
    """`section`: "apt" or "brew". `problem`: why nothing can be told of these packages; then `missing` is empty."""

    section: str
    wanted: tuple[str, ...]
    missing: tuple[str, ...]
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class NodePackNeed:
    """A pack that is asked for. `present` is PRESENT, DISABLED, REPLACED, or None for one that is missing; `path` is
    where it is or would be. `note`: how the version that is there differs. `address`: what would be asked for it."""

    requirement: NodeRequirement
    present: Result | None
    path: Path
    address: str
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "directory": self.requirement.directory,
            "source": source_as_json(self.requirement.source),
            "state": self.present.value if self.present else "missing",
            "path": str(self.path),
            "address": self.address,
            "note": self.note,
        }


@dataclasses.dataclass(frozen=True)
class PackNeeds:
    """What one pack asks for. `system` is None where its system packages are meant for another kind of machine."""

    pack: Pack
    system: SystemNeeds | None
    node_packs: tuple[NodePackNeed, ...]

    @property
    def custom_nodes(self) -> Path:
        """Where the packs that it asks for belong."""
        return self.pack.path.parent

    def as_json(self) -> dict[str, Any]:
        return {
            "pack": self.pack.name,
            "system": self.system.as_json() if self.system else None,
            "node_packs": [need.as_json() for need in self.node_packs],
        }


@dataclasses.dataclass(frozen=True)
class Survey:
    """`packs`: those that ask for something. `unreadable`: what is wrong in files that could not be read."""

    packs: tuple[PackNeeds, ...]
    unreadable: tuple[str, ...]

    @property
    def missing_system_packages(self) -> tuple[str, ...]:
        """Each once."""
        missing = (name for needs in self.packs if needs.system for name in needs.system.missing)
        return tuple(dict.fromkeys(missing))

    def missing_node_packs(self) -> dict[Path, tuple[Wanted, ...]]:
        """By the custom_nodes directory that they belong into."""
        missing: dict[Path, tuple[Wanted, ...]] = {}
        for needs in self.packs:
            wanted = [Wanted(n.requirement, needs.pack.name) for n in needs.node_packs if n.present is None]
            if wanted:
                missing[needs.custom_nodes] = (*missing.get(needs.custom_nodes, ()), *wanted)
        return missing

    def as_json(self) -> dict[str, Any]:
        """`{"packs": [{"pack", "system": {"section", "wanted", "missing", "problem"} | null, "node_packs": […]}],
        "unreadable": [text]}`, a node pack being `{"directory", "source", "state": "present" | "disabled" | "replaced"
        | "missing", "path", "address", "note"}`."""
        return {"packs": [needs.as_json() for needs in self.packs], "unreadable": list(self.unreadable)}


def survey(scan: Scan, addresses: Addresses, packs: tuple[Pack, ...] | None = None) -> Survey:
    """Of these packs of the scan, or of all. Raises OSError where custom_nodes or dpkg's records cannot be read."""
    system = this_system()
    # Packs share a custom_nodes directory, and reading it means reading every pack's git files.
    in_directory = functools.cache(present_packs)
    chosen = scan.packs if packs is None else packs
    needs = []
    for pack in chosen:
        asked = asked_for(scan, pack)
        if asked:
            node_packs = tuple(
                _node_pack(requirement, pack.path.parent, in_directory(pack.path.parent), addresses)
                for requirement in asked.node_reqs
            )
            needs.append(PackNeeds(pack, _system_needs(asked, system), node_packs))
    return Survey(tuple(needs), tuple(text for pack in chosen for text in unreadable(scan, pack)))


def source_as_json(source: GitSource | RegistrySource) -> dict[str, Any]:
    """`{"kind": "git", "url", "ref_kind", "ref"}` or `{"kind": "registry", "id", "version"}`."""
    if isinstance(source, RegistrySource):
        return {"kind": "registry", "id": source.node_id, "version": source.version}
    ref_kind = source.ref_kind.value if source.ref_kind else None
    return {"kind": "git", "url": source.url, "ref_kind": ref_kind, "ref": source.ref}


def _system_needs(asked: Prerequisites, system: SystemPackages | None) -> SystemNeeds | None:
    for section, wanted in (("apt", asked.apt), ("brew", asked.brew)):
        if wanted and concerns_this_system(section):
            if system is None:
                return SystemNeeds(section, wanted, (), why_nobody_knows(wanted))
            return SystemNeeds(section, wanted, system.missing(wanted))
    return None


def _node_pack(
    requirement: NodeRequirement, custom_nodes: Path, there: tuple[PresentPack, ...], addresses: Addresses
) -> NodePackNeed:
    source = requirement.source
    address = addresses.actual(source.url) if isinstance(source, GitSource) else addresses.node(source)
    settled = look_for(requirement, custom_nodes, there)
    if settled is None:
        return NodePackNeed(requirement, None, custom_nodes / requirement.directory, address)
    return NodePackNeed(requirement, settled.result, settled.path, address, settled.text or None)
