"""What one pack asks for, whichever of its files say so."""

from __future__ import annotations

from collections.abc import Iterator

from comfy_env_core.config import NodeRequirement, Prerequisites
from comfy_env_core.discovery import Pack, Scan


def asked_for(scan: Scan, pack: Pack) -> Prerequisites:
    """Each thing once, in the order of the files."""
    apt: dict[str, None] = {}
    brew: dict[str, None] = {}
    node_reqs: dict[NodeRequirement, None] = {}
    for one in _of_files(scan, pack):
        apt.update(dict.fromkeys(one.apt))
        brew.update(dict.fromkeys(one.brew))
        node_reqs.update(dict.fromkeys(one.node_reqs))
    return Prerequisites(tuple(apt), tuple(brew), tuple(node_reqs))


def unreadable(scan: Scan, pack: Pack) -> tuple[str, ...]:
    """What is wrong in root files that could not be read; they may ask for more."""
    return tuple(str(error) for id_, error in scan.root_errors.items() if id_.partition("/")[0] == pack.name)


def _of_files(scan: Scan, pack: Pack) -> Iterator[Prerequisites]:
    """Root files, and environment files from when those had such sections."""
    for id_, root in scan.roots.items():
        if id_.partition("/")[0] == pack.name:
            yield root.prerequisites
    for site in scan.sites:
        if site.pack == pack and site.spec is not None:
            yield site.spec.prerequisites
