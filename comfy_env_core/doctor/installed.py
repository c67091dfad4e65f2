"""A package in the environments that have it: in which version, and whether it imports there."""

from __future__ import annotations

from collections.abc import Iterator

from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.verification import try_package
from comfy_env_core.doctor.finding import Finding, fail, ok, warn
from comfy_env_core.doctor.surroundings import Surroundings
from comfy_env_core.environments.meta import DamagedMeta, MetaPackage
from comfy_env_core.environments.workspace import Workspace


def check_installed(surroundings: Surroundings, name: str) -> Iterator[Finding]:
    """Each environment once, whichever packs share it. Starts their interpreters."""
    users: dict[Workspace, list[str]] = {}
    for site_id, workspace in surroundings.serving:
        users.setdefault(workspace, []).append(site_id)
    for workspace, sites in users.items():
        yield from _in_environment(workspace, ", ".join(sites), name)


def _in_environment(workspace: Workspace, sites: str, name: str) -> Iterator[Finding]:
    subject = f"in {workspace.environment_id}"
    rebuild = f"`rebuild {workspace.environment_id}` makes the environment anew."
    try:
        package = _find(workspace, name)
    except DamagedMeta as error:
        yield warn(subject, str(error), rebuild)
        return
    if package is None:
        return
    what = f"{package.name} {package.version} from {package.source}, for {sites}"
    problem = try_package(workspace.python, workspace.prefix, package.name)
    if problem is None:
        yield ok(subject, f"{what}: imports")
    else:
        yield fail(subject, f"{what}: does not import: {problem}", rebuild)


def _find(workspace: Workspace, name: str) -> MetaPackage | None:
    wanted = normalised_name(name)
    return next((one for one in workspace.read_meta().packages if normalised_name(one.name) == wanted), None)
