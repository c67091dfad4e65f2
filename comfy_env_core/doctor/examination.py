"""Everything that is looked at, in the order in which people should read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from comfy_env_core.building.errors import BuildError
from comfy_env_core.doctor.beside import check_memory, check_prerequisites
from comfy_env_core.doctor.finding import Finding, fail
from comfy_env_core.doctor.installed import check_installed
from comfy_env_core.doctor.machine import check_comfyui, check_encoding, check_python, check_settings
from comfy_env_core.doctor.network import check_certificates, check_places
from comfy_env_core.doctor.package import check_package
from comfy_env_core.doctor.storage import check_place_of_environments, check_store
from comfy_env_core.doctor.surroundings import Surroundings
from comfy_env_core.doctor.tools import check_engine, check_interpreters

Check = Callable[[Surroundings], Iterator[Finding]]

#: (what is looked at, for people; the check)
CHECKS: tuple[tuple[str, Check], ...] = (
    ("packs and their files", check_comfyui),
    ("ComfyUI's Python and the GPU", check_python),
    ("memory", check_memory),
    ("the store and its disk", check_store),
    ("the place of the environments", check_place_of_environments),
    ("the encoding of file names", check_encoding),
    ("settings", check_settings),
    ("the engine", check_engine),
    ("Python interpreters", check_interpreters),
    ("what packs ask for beside their environments", check_prerequisites),
    ("certificates", check_certificates),
    ("the servers that packages come from", check_places),
)


def examine(
    surroundings: Surroundings,
    tell: Callable[[str], None] = lambda looked_at: None,
    checks: tuple[tuple[str, Check], ...] = CHECKS,
) -> Iterator[Finding]:
    """Asks the places that packages come from for one small page each: a few seconds in all. Installs nothing.

    `tell` hears what is looked at next.
    """
    for looked_at, check in checks:
        tell(looked_at)
        try:
            yield from check(surroundings)
        except BuildError as error:
            yield fail(error.cause.value, error.message, error.remedy)


def examine_package(surroundings: Surroundings, name: str) -> Iterator[Finding]:
    """Where a PyPI package can be had, then what became of it in the environments that have it."""
    yield from check_package(surroundings, name)
    yield from check_installed(surroundings, name)
