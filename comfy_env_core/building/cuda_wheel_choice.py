"""Which files the packages under `[cuda]` become: one combination of CUDA and torch that has them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from comfy_env_core.building.cuda_packages import CudaWheelsWanted
from comfy_env_core.building.cuda_wheels import (
    WHEELS_BASE_VARIABLE,
    Combination,
    CudaWheel,
    CudaWheels,
    combination_of_local_tag,
    wheels_base,
)
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.simple_index import offered_files
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.building.wheel_names import WheelName
from comfy_env_core.config import Requirement

#: The oldest CUDA that every current GPU runs. A torch that we may choose comes for this one or a newer one, unless the
#: machine itself is older.
_OLDEST_TO_CHOOSE = (12, 8)


def settle_cuda_wheels(
    plan: BuildPlan, wanted: CudaWheelsWanted, settings: UserSettings, fetcher: Fetcher
) -> BuildPlan:
    """The plan with a file and a checksum for each package, and with the torch that they were built for.

    A Python that is a range keeps the index, from which the engine takes what fits. Raises BuildError: NO_SUCH_PACKAGE,
    NO_MATCHING_WHEEL (naming the combinations that have it), NETWORK.
    """
    python = plan.python_minor
    if python is None:
        return plan
    offer = _offer(wanted, settings, fetcher)
    can_choose_torch = any(normalised_name(key) == "torch" for key in plan.torch_pins)
    for combination in _acceptable(wanted, offer) if can_choose_torch else (wanted.combination,):
        found = {name: offer.best(name, combination, python, plan.platform) for name in wanted.names}
        chosen = {name: wheel for name, wheel in found.items() if wheel is not None}
        if len(chosen) == len(found):
            return _with_wheels(plan, wanted, combination, chosen)
    raise _missing(plan, wanted, offer, python)


def _offer(wanted: CudaWheelsWanted, settings: UserSettings, fetcher: Fetcher) -> CudaWheels:
    """The index; the user's find-links where it does not answer."""
    base = wheels_base(settings.environ)
    try:
        return CudaWheels.fetch(base, wanted.names, wanted.combination, fetcher)
    except BuildError as error:
        if error.cause is BuildCause.CANCELLED:
            raise
        own = dict(_own_wheels(wanted, settings, fetcher))
        if all(own.values()):
            return CudaWheels(own, is_whole=True)
        raise BuildError(
            error.cause,
            f"{error.message} The packages under [cuda] ({', '.join(wanted.names)}) come from there.",
            f"Connect to the internet, name a mirror with {WHEELS_BASE_VARIABLE}, or put the wheels into a directory "
            "and name that in pip's find-links setting; then build again.",
        ) from error


def _own_wheels(
    wanted: CudaWheelsWanted, settings: UserSettings, fetcher: Fetcher
) -> Iterator[tuple[str, Sequence[CudaWheel]]]:
    places = dataclasses.replace(settings, no_index=True, index_url=None, extra_index_urls=())
    for name in wanted.names:
        wheels = []
        for file in offered_files(name, places, fetcher):
            wheel = WheelName.parse(file.filename)
            combination = combination_of_local_tag(wheel) if wheel else None
            if wheel and combination:
                wheels.append(CudaWheel(wheel, file.url, file.sha256, combination))
        yield normalised_name(name), wheels


def _acceptable(wanted: CudaWheelsWanted, offer: CudaWheels) -> Iterator[Combination]:
    """The machine's own first, then those of the same torch for an older CUDA, then other torches if that is free."""
    own = wanted.combination
    yield own
    others = [other for other in offer.combinations() if other != own and other.cuda <= own.cuda]
    yield from (other for other in others if other.torch == own.torch)
    if wanted.may_move_torch:
        oldest = min(own.cuda, _OLDEST_TO_CHOOSE)
        yield from (other for other in others if other.torch != own.torch and other.cuda >= oldest)


def _with_wheels(
    plan: BuildPlan, wanted: CudaWheelsWanted, chosen: Combination, wheels: Mapping[str, CudaWheel]
) -> BuildPlan:
    pypi = dict(plan.pypi)
    reasons = dict(plan.reasons)
    for name, wheel in wheels.items():
        pypi[name] = wheel.requirement
        checked = "" if wheel.sha256 else ", which publishes no checksum of it"
        reasons[f"pypi-dependencies.{name}"] = f"under [cuda]; built for {chosen}{checked}"
    changed = dataclasses.replace(plan, pypi=pypi, reasons=reasons)
    if chosen == wanted.combination:
        return changed
    note = f"{', '.join(wanted.names)}: not built for {wanted.combination}, but for {chosen}, which is taken."
    return _with_torch(changed, wanted, chosen).with_notes(note)


def _with_torch(plan: BuildPlan, wanted: CudaWheelsWanted, chosen: Combination) -> BuildPlan:
    """torch in the build that the packages need; its companions follow by their own metadata."""
    pypi = dict(plan.pypi)
    for key in plan.torch_pins:
        table = dict(_table(pypi[key]))
        table["index"] = f"{str(table['index']).rpartition('/')[0]}/{chosen.tag}"
        if chosen.torch != wanted.combination.torch:
            table["version"] = f"=={chosen.torch_text}.*" if normalised_name(key) == "torch" else "*"
        pypi[key] = table
    return dataclasses.replace(plan, pypi=pypi)


def _table(requirement: Requirement) -> Mapping[str, object]:
    return {"version": requirement} if isinstance(requirement, str) else requirement


def _missing(
    plan: BuildPlan, wanted: CudaWheelsWanted, offer: CudaWheels, python: tuple[int, int]
) -> BuildError:
    """For the first package that is not there for this machine's combination."""
    own = wanted.combination
    name = next(
        (n for n in wanted.names if offer.best(n, own, python, plan.platform) is None), wanted.names[0]
    )
    machine = f"{own}, Python {python[0]}.{python[1]} and {plan.platform.name}"
    if not offer.knows(name) and offer.is_whole:
        return BuildError(
            BuildCause.NO_SUCH_PACKAGE,
            f"{name!r} stands under [cuda] in {str(plan.spec.path)!r}, and the index of CUDA wheels has no such thing.",
            "Correct the name, or move it to [pypi-dependencies] if it is on PyPI.",
        )
    return BuildError(
        BuildCause.NO_MATCHING_WHEEL,
        f"No wheel of {name!r} was found for {machine}. {_where_else(name, plan, offer, python)}",
        "Ask whoever makes the pack for another version of torch or Python in its file, or for the wheel; "
        "COMFY_ENV_CUDA_VERSION chooses another CUDA.",
    )


def _where_else(name: str, plan: BuildPlan, offer: CudaWheels, python: tuple[int, int]) -> str:
    """Which combinations have it here, or else on which machines it runs at all."""
    wheels = offer.wheels_of(name)
    if not offer.is_whole:
        return "The index says nothing of other combinations."
    here = sorted({w.combination for w in wheels if w.name.runs_on(python, plan.platform)}, reverse=True)
    if here:
        return f"It is there for {'; '.join(map(str, here))}."
    tags = sorted({f"{'.'.join(w.name.pythons)} on {'.'.join(w.name.systems)}" for w in wheels})
    return f"It is there for {'; '.join(tags)} only." if tags else "It has no wheels at all."
