"""What the names on a command line stand for: packs by folder, sites and environments by id, any of them by path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, NOT_FOUND, USAGE, CommandError
from comfy_env_core.cli.known import KnownSite, look
from comfy_env_core.discovery import Pack, Scan, Site
from comfy_env_core.environments.store import Environment

#: `--help` of a command that takes one of these.
PACK_HELP = "a folder in custom_nodes, the id of a site as `scan` lists it, or a path"
TARGET_HELP = f"{PACK_HELP}; or the id of an environment, of which its first characters are enough"


def sites_named(found: Scan, names: Sequence[str]) -> tuple[Site, ...]:
    """The sites of the named packs, in the order of the names; all sites if none is named. Raises CommandError."""
    if not names:
        return found.sites
    chosen: dict[str, Site] = {}
    for name in names:
        sites = _sites_of(found, name)
        if not sites:
            raise _no_such_pack(found, name)
        chosen.update((site.id, site) for site in sites)
    return tuple(chosen.values())


def packs_named(found: Scan, names: Sequence[str]) -> tuple[Pack, ...]:
    """The named packs, isolated or not, in the order of the names; all if none is named. Raises CommandError."""
    chosen: dict[str, Pack] = {}
    for name in names:
        trimmed = name.replace("\\", "/").rstrip("/")
        packs = [pack for pack in found.packs if trimmed == pack.name or _is_path_to(name, (pack.path,))]
        if not packs:
            close = difflib.get_close_matches(trimmed, [pack.name for pack in found.packs], n=3, cutoff=0.5)
            hint = (
                f"Did you mean {' or '.join(map(repr, close))}?" if close else "`scan` lists what there is."
            )
            raise CommandError(f"There is no pack {name!r}. {hint}", NOT_FOUND)
        chosen.update((pack.name, pack) for pack in packs)
    return tuple(chosen.values()) if names else found.packs


def environment_named(context: Context, name: str) -> tuple[Environment, tuple[KnownSite, ...]]:
    """The environment, and the sites that ask for it or run in it now. Raises CommandError."""
    known, problem = _known_if_any(context)
    wanted = [site for site in known if _is_called(site.site, name)]
    if not wanted:
        environment = _environment_by_id(context, name, known, problem)
    else:
        environment = _environment_of(name, wanted)
    return environment, tuple(site for site in known if _uses(site, environment))


def known_sites_named(context: Context, names: Sequence[str]) -> tuple[KnownSite, ...]:
    """Like `sites_named`, and ids of environments stand for the sites that use them."""
    known = look(context)
    chosen: dict[str, KnownSite] = {}
    for name in names:
        wanted = [site for site in known if _is_called(site.site, name)]
        if not wanted:
            environment = _environment_by_id(context, name, known, None)
            wanted = [site for site in known if _uses(site, environment)]
            if not wanted:
                raise CommandError(
                    f"No pack in {_listed(context.custom_nodes)} uses environment {environment.id}.",
                    NOT_FOUND,
                )
        chosen.update((site.site.id, site) for site in wanted)
    return tuple(chosen.values()) if names else known


def _environment_of(name: str, wanted: Sequence[KnownSite]) -> Environment:
    """The one of a pack, or of the one site of it that was named."""
    places = {site.environment.directory: site.environment for site in wanted if site.environment is not None}
    if len(places) > 1:
        listed = "".join(f"\n  {site.site.id}" for site in wanted)
        raise CommandError(f"{name!r} has several environments. Name one of its sites:{listed}", USAGE)
    if not places:
        raise CommandError(f"{name!r} has no environment: {wanted[0].failure}", FAILED)
    (environment,) = places.values()
    return environment


def _environment_by_id(
    context: Context, name: str, known: Iterable[KnownSite], problem: CommandError | None
) -> Environment:
    text = name.removeprefix("_env_").lower()
    matching = [one for one in context.store.environments() if text and one.id.startswith(text)]
    if len(matching) > 1:
        listed = ", ".join(one.id for one in matching)
        raise CommandError(f"Several environments begin with {name!r}: {listed}. Type more of it.", USAGE)
    if matching:
        return matching[0]
    if problem is not None:
        raise CommandError(
            f"No environment in {context.store.root} has the id {name!r}. {problem}", NOT_FOUND
        )
    known_ids = [one.id for one in context.store.environments()]
    known_ids += [site.environment.id for site in known if site.environment is not None]
    raise _no_such_pack(context.scan, name, known_ids)


def _known_if_any(context: Context) -> tuple[tuple[KnownSite, ...], CommandError | None]:
    """An environment can be looked at from anywhere; which packs use it is then not known."""
    try:
        _ = context.custom_nodes
    except CommandError as problem:
        return (), problem
    return look(context), None


def _sites_of(found: Scan, name: str) -> tuple[Site, ...]:
    return tuple(site for site in found.sites if _is_called(site, name))


def _is_called(site: Site, name: str) -> bool:
    """By its id, its pack's name, or a path to it, whose slash at the end the shell has completed."""
    trimmed = name.replace("\\", "/").rstrip("/")
    return trimmed in (site.id, site.pack.name) or _is_path_to(name, (site.pack.path, site.directory))


def _is_path_to(name: str, directories: Collection[Path]) -> bool:
    here = os.path.normcase(os.path.abspath(name))
    return here in {os.path.normcase(directory) for directory in directories}


def _uses(site: KnownSite, environment: Environment) -> bool:
    serves = site.serving is not None and site.serving.environment_id == environment.id
    return serves or (site.environment is not None and site.environment.id == environment.id)


def _no_such_pack(found: Scan, name: str, ids: Sequence[str] = ()) -> CommandError:
    trimmed = name.replace("\\", "/").rstrip("/")
    for pack in found.packs:
        if pack.name == trimmed or _is_path_to(name, (pack.path,)):
            return CommandError(
                f"Pack {pack.name!r} has no comfy-env.toml and runs in ComfyUI's own Python. "
                f"`init {pack.path}` writes one.",
                NOT_FOUND,
            )
    for skipped in found.skipped:
        if skipped.name == trimmed:
            return CommandError(f"{name!r} is not looked into: {skipped.reason}.", NOT_FOUND)
    names = {site.pack.name for site in found.sites} | {site.id for site in found.sites} | set(ids)
    lower = {one.lower(): one for one in names}
    close = [lower[match] for match in difflib.get_close_matches(trimmed.lower(), lower, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "`scan` lists what there is."
    what = "pack, site or environment" if ids else "isolated pack or site"
    return CommandError(f"There is no {what} {name!r}. {hint}", NOT_FOUND)


def _listed(directories: Iterable[Path]) -> str:
    return ", ".join(map(str, directories))
