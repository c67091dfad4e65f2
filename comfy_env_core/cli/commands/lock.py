"""`lock`: writes comfy-env.lock beside a comfy-env.toml, the exact packages of it for each platform."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.fitting import with_lock
from comfy_env_core.building.locks.lock_file import lock_text, read_lock
from comfy_env_core.building.locks.locking import Locking
from comfy_env_core.building.locks.model import Lock, LockedEnvironment, meaning_of
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.platform import PLATFORM_NAMES, Platform
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.env_files import env_file, plan_of_file
from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.cli.spoken_report import SpokenReport
from comfy_env_core.cli.targets import PACK_HELP, sites_named
from comfy_env_core.config import ConfigError, parse_env
from comfy_env_core.environments.atomic import write_atomically

log = logging.getLogger("comfy-env")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        metavar="PACK|FILE",
        nargs="*",
        help=f"{PACK_HELP}; or a comfy-env.toml. Default: all packs",
    )
    parser.add_argument(
        "--platform",
        metavar="P",
        action="append",
        choices=PLATFORM_NAMES,
        help=f"{', '.join(PLATFORM_NAMES)}; may be given several times. Default: this machine's, and those that "
        "the lock holds already",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="take the newest packages, also where they are built here already",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing: fail if a lock is missing or for an earlier file"
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED if a platform of a file could not be locked; the others are written all the same."""
    wanted = options.platform or ()
    files = _files(options.targets, context)
    if options.check:
        outcomes = [_check(path, wanted) for path in files]
    else:
        outcomes = [_lock_file(path, wanted, context, update=options.update) for path in files]
    if context.wants_json:
        context.print_json({"locks": [outcome.as_json() for outcome in outcomes]})
    else:
        for outcome in outcomes:
            _tell(outcome, context)
    return FAILED if any(outcome.failures for outcome in outcomes) else FINE


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One lock that was written. `failures`: platform → why it is not in there."""

    lock: Lock
    failures: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """`{"path", "environments": [{"platform", "python", "needs", "conda", "pypi", "follows"}], "failures"}`."""
        return {
            "path": str(self.lock.path),
            "environments": [
                {
                    "platform": one.platform,
                    "python": one.python,
                    "needs": dict(one.needs),
                    "conda": len(one.conda),
                    "pypi": len(one.pypi),
                    "follows": list(one.follows),
                }
                for one in self.lock.environments
            ],
            "failures": self.failures,
        }


def _tell(outcome: Outcome, context: Context) -> None:
    context.say(f"{outcome.lock.path}")
    for one in outcome.lock.environments:
        line = (
            f"  {one.platform}: Python {one.python}, {len(one.conda)} conda and {len(one.pypi)} PyPI packages"
        )
        context.say(f"{line}; left to each machine: {', '.join(one.follows)}" if one.follows else line)
    for platform, reason in outcome.failures.items():
        context.say(f"  {platform}: {reason}")


def _files(targets: Sequence[str], context: Context) -> tuple[Path, ...]:
    if not targets:
        return tuple(site.config_path for site in context.scan.sites)
    found: list[Path] = []
    for target in targets:
        if Path(target).is_file():
            found.append(env_file(Path(target)))
        else:
            found += [site.config_path for site in sites_named(context.scan, [target])]
    return tuple(dict.fromkeys(found))


def _lock_file(path: Path, wanted: Sequence[str], context: Context, *, update: bool) -> Outcome:
    """Writes the lock, unless nothing could be locked; a platform that fails keeps what was there for it.

    Raises ConfigError for a file that cannot be used.
    """
    spec = parse_env(path.read_bytes(), path)
    place = path.with_name(LOCK_NAME)
    before = _existing(place)
    known = {one.platform: one for one in before.environments} if before is not None else {}
    names = wanted or tuple(dict.fromkeys((Platform.current().name, *known)))
    held = dict(known) if before is not None and before.meaning == meaning_of(spec) else {}
    for name in sorted(known.keys() - held.keys() - set(names)):
        log.warning(
            "%s: the lock of %s was for an earlier file and is dropped; name it as well.", place, name
        )
    locking = Locking(context.store, context.settings, SpokenReport())
    failures: dict[str, str] = {}
    for name in names:
        try:
            plan = plan_of_file(spec, context, name, None)
            built = None if update else _built(plan, place, context)
            held[name] = locking.environment(plan, built)
        except BuildError as error:
            failures[name] = str(error)
            for line in error.tail:
                log.debug("  %s", line)
    lock = Lock(place, meaning_of(spec), tuple(held[name] for name in sorted(held)))
    if lock.environments:
        write_atomically(place, lock_text(lock).encode())
    return Outcome(lock, failures)


def _check(path: Path, wanted: Sequence[str]) -> Outcome:
    """What the lock lacks. Raises ConfigError for a file that cannot be used."""
    spec = parse_env(path.read_bytes(), path)
    place = path.with_name(LOCK_NAME)
    lock = _existing(place) or Lock(place, "", ())
    held = {one.platform for one in lock.environments}
    names = wanted or sorted(held) or (Platform.current().name,)
    if not place.is_file():
        reason = f"There is no {LOCK_NAME}."
    elif lock.meaning != meaning_of(spec):
        reason = f"{path.name} has changed since the lock was made, or the lock is damaged."
    else:
        return Outcome(lock, {name: "The lock does not hold it." for name in names if name not in held})
    return Outcome(lock, dict.fromkeys(names, reason))


def _existing(place: Path) -> Lock | None:
    """The lock that is there, whether or not it is for the file as it is now."""
    try:
        return read_lock(place.read_bytes(), place)
    except FileNotFoundError:
        return None
    except ConfigError as error:
        log.warning("%s", error)
        return None


def _built(plan: BuildPlan, place: Path, context: Context) -> LockedEnvironment | None:
    """What a build of the same plan, with the lock or before there was one, put into its prefix here."""
    plans = [plan]
    if place.is_file():
        with contextlib.suppress(ConfigError):  # told by `_existing`
            plans.insert(0, with_lock(plan, place.read_bytes(), place))
    for one in plans:
        workspace = context.store.environment(one.environment_id).current()
        result = workspace.directory / LOCK_NAME if workspace is not None else None
        if result is not None and result.is_file():
            return read_lock(result.read_bytes(), result).environments[0]
    return None


COMMAND = Command(
    name="lock",
    summary="Write comfy-env.lock: the exact packages of a comfy-env.toml, for each platform",
    configure=configure,
    run=run,
    examples=(
        Example("ComfyUI-GeometryPack --platform linux-64 --platform win-64", "for Linux and Windows"),
        Example("custom_nodes/mesh/nodes/comfy-env.toml", "for one file"),
        Example("--update", "newer packages, for the platforms that the locks hold"),
        Example("comfy-env.toml --check", "in a pack's own tests: was the lock forgotten?"),
    ),
    details=(
        "A pack that ships the lock beside its comfy-env.toml gives every user the same packages, each checked by\n"
        "its sha256. Versions that are built here are taken, so build and try first. What follows the machine is\n"
        "left out: torch, packages under [cuda], and what ComfyUI's own code needs are resolved where it is built.\n"
        "Nothing is installed; package indexes and channels are asked. Commit both files; after a change of the\n"
        "comfy-env.toml the lock no longer counts until it is written again."
    ),
    speaks_json=True,
)
