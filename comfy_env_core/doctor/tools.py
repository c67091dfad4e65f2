"""What builds: the engine, and the interpreters that environments can be made from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from comfy_env_core.building.engines.engine_packages import engine_version
from comfy_env_core.building.engines.interpreters import Interpreters
from comfy_env_core.building.engines.pixi_binary import find_pixi
from comfy_env_core.building.engines.uv import managed_pythons
from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.errors import BuildError
from comfy_env_core.doctor.finding import Finding, fail, ok, warn
from comfy_env_core.doctor.surroundings import Surroundings

#: No Python: so every one that is found is told with its version or with what is wrong with it.
_EVERY = PythonWanted("==0")
#: Workers run on no older one.
_USABLE = PythonWanted(">=3.9")


def check_engine(surroundings: Surroundings) -> Iterator[Finding]:
    """Downloads nothing: a pixi that is not here yet is fetched by the first build, if its server answers."""
    wanted = surroundings.settings.engine
    if wanted not in (None, "pixi", "embedded"):
        yield fail(
            "engine", f"COMFY_ENV_ENGINE is {wanted!r}, which is no engine", "Set it to pixi or embedded."
        )
        return
    if wanted == "embedded":
        yield ok("engine", f"embedded ({engine_version()}), because COMFY_ENV_ENGINE says so")
        return
    told: list[str] = []
    try:
        binary = find_pixi(surroundings.store, surroundings.settings, told.append)
    except BuildError as error:
        yield fail("engine", error.message, error.remedy)
        return
    yield from (warn("engine", line, "Update or remove it.") for line in told if line.startswith("not used"))
    if binary is not None:
        yield ok("engine", f"pixi {binary.version} at {binary.path}")
    else:
        fallback = "" if wanted == "pixi" else f", else the embedded one ({engine_version()}) builds"
        yield ok("engine", f"pixi is not on this machine; the first build fetches it if it can{fallback}")


def check_interpreters(surroundings: Surroundings) -> Iterator[Finding]:
    """For the embedded engine: pixi brings its own."""
    _, lines = Interpreters(surroundings.settings, managed_pythons(surroundings.store)).find(_EVERY)
    found = [match[1] for line in lines if (match := re.search(r" is Python (\S+)$", line))]
    usable = [version for version in found if _USABLE.accepts(version)]
    series = sorted({".".join(version.split(".")[:2]) for version in usable}, key=_numbers)
    if series:
        yield ok(
            "interpreters",
            f"Python {', '.join(series)} here; others are downloaded when a pack asks for them",
        )
    else:
        yield warn(
            "interpreters",
            "no Python on this machine can carry an environment: " + "; ".join(lines),
            "They are downloaded when needed; COMFY_ENV_PYTHON names one that you have.",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
