"""`info`: all that is known of one environment: who asks for it, what is in it and why, how it was built, its size."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from comfy_env_core.building.install_log import read_outcome
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.running_job import read_running_job
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE
from comfy_env_core.cli.known import KnownSite, plan_or_none
from comfy_env_core.cli.targets import TARGET_HELP, environment_named
from comfy_env_core.environments.meta import DamagedMeta, Meta
from comfy_env_core.environments.size_text import megabytes
from comfy_env_core.environments.sizes import Size, measure
from comfy_env_core.environments.store import Environment


@dataclasses.dataclass(frozen=True)
class Facts:
    """What there is to tell. `meta`: of the generation that serves; `plan`: of a site that asks for it now."""

    environment: Environment
    sites: tuple[KnownSite, ...]
    meta: Meta | None
    plan: BuildPlan | None
    size: Size


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="PACK|ENV", help=TARGET_HELP)


def run(options: argparse.Namespace, context: Context) -> int:
    facts = _gather(context, *environment_named(context, options.target))
    if context.wants_json:
        context.print_json(as_json(facts))
        return FINE
    context.say(f"Environment {facts.environment.id}")
    context.say_rows([(f"  {label}", value) for label, value in _rows(facts)])
    packages = facts.meta.packages if facts.meta is not None else ()
    if packages:
        context.say(f"  {len(packages)} packages:")
        context.say_rows([(f"    {one.name}", one.version, one.source) for one in packages])
    return FINE


def _gather(context: Context, environment: Environment, sites: tuple[KnownSite, ...]) -> Facts:
    asking = [site.site for site in sites if site.environment == environment]
    return Facts(
        environment=environment,
        sites=sites,
        meta=_meta(environment),
        plan=plan_or_none(context, asking[0]) if asking else None,
        size=measure({environment.id: [environment.directory]}).size(environment.id),
    )


def _meta(environment: Environment) -> Meta | None:
    """None before the first build, and for a record that is damaged: the next start builds again then."""
    workspace = environment.current()
    try:
        return workspace.read_meta() if workspace is not None else None
    except DamagedMeta:
        return None


def as_json(facts: Facts) -> dict[str, Any]:
    """`{"environment_id", "directory", "log_path", "python", "generation", "previous_generation", "used_by", "record",
    "facts", "notes", "added", "skipped", "build", "last_build", "size"}`.

    `python`: the path of its interpreter, None before it is built. `used_by`: `[{"site", "config_path", "asks",
    "runs_here"}]`. `record`: what its build wrote (engine, packages, …) or None. `added`: line of the manifest → why it
    was added. `size`: `{"unique_bytes", "shared_bytes"}`, of all generations; see `sizes.Size`.
    """
    environment, plan = facts.environment, facts.plan
    current, previous = environment.current(), environment.previous()
    running = read_running_job(environment)
    return {
        "environment_id": environment.id,
        "directory": str(environment.directory),
        "log_path": str(environment.log_path),
        "python": str(current.python) if current is not None else None,
        "generation": current.number if current is not None else None,
        "previous_generation": previous.number if previous is not None else None,
        "used_by": [_use(facts, site) for site in facts.sites],
        "record": dataclasses.asdict(facts.meta) if facts.meta is not None else None,
        "facts": _fact_lines(facts),
        "notes": list(plan.notes) if plan is not None else [],
        "added": dict(plan.reasons) if plan is not None else {},
        "skipped": list(plan.skipped) if plan is not None else [],
        "build": running.as_json() if running is not None else None,
        "last_build": read_outcome(environment.log_path),
        "size": {"unique_bytes": facts.size.unique_bytes, "shared_bytes": facts.size.shared_bytes},
    }


def _use(facts: Facts, known: KnownSite) -> dict[str, Any]:
    serving = known.serving
    return {
        "site": known.site.id,
        "config_path": str(known.site.config_path),
        "asks": known.environment == facts.environment,
        "runs_here": serving is not None and serving.environment_id == facts.environment.id,
    }


def _fact_lines(facts: Facts) -> list[str]:
    if facts.plan is not None:
        return list(facts.plan.facts)
    return list(facts.meta.facts) if facts.meta is not None else []


def _rows(facts: Facts) -> Iterator[tuple[str, str]]:
    environment, meta, plan = facts.environment, facts.meta, facts.plan
    yield "directory", str(environment.directory)
    yield "used by", ", ".join(site.site.id for site in facts.sites) or "no pack that was looked at"
    yield from (("file", str(path)) for path in _files(facts))
    yield from _generation_rows(environment)
    if meta is not None:
        yield "Python", meta.python_version
        yield "built", f"{meta.built_at} by {meta.engine} {meta.engine_version} in {meta.duration_s:.0f} s"
    outcome = read_outcome(environment.log_path)
    if outcome is not None:
        yield "last build", f"failed: {outcome}"
    running = read_running_job(environment)
    if running is not None:
        yield (
            "building",
            f"{running.phase or running.state}, {running.elapsed_s:.0f} s, process {running.pid}",
        )
    if facts.size.total_bytes:
        shared = megabytes(facts.size.shared_bytes)
        yield (
            "size",
            f"{megabytes(facts.size.total_bytes)}, of which {shared} are shared with the cache or others",
        )
    yield "log", str(environment.log_path)
    yield from _labelled("facts", _fact_lines(facts))
    if plan is not None:
        yield from _labelled("notes", plan.notes)
        yield from _labelled(
            "added", [f"{line.partition('.')[2]}: {why}" for line, why in plan.reasons.items()]
        )
        yield from _labelled("left out", plan.skipped)


def _files(facts: Facts) -> Sequence[Path | str]:
    asking = dict.fromkeys(site.site.config_path for site in facts.sites)
    return list(asking) or ([facts.meta.config_path] if facts.meta is not None else [])


def _generation_rows(environment: Environment) -> Iterator[tuple[str, str]]:
    current, previous = environment.current(), environment.previous()
    if current is None:
        yield "generation", "none is built"
        return
    back = f"; roll-back returns to {previous.number}" if previous is not None else ""
    yield "generation", f"{current.number}{back}"
    yield "interpreter", str(current.python)


def _labelled(label: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        yield (label if number == 0 else "", line)


COMMAND = Command(
    name="info",
    summary="Show what an environment holds and why, who uses it, its size and interpreter",
    configure=configure,
    run=run,
    examples=(
        Example("ComfyUI-GeometryPack", "the environment that this pack asks for"),
        Example("a0817083 --json", "for a program; the id's first characters are enough"),
    ),
    details=(
        "facts: what, beside the file, its id is made from. added: packages that the file does not ask for.\n"
        "notes: what was decided for this machine, and why."
    ),
    speaks_json=True,
)
