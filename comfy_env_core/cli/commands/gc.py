"""`gc`: what in the store nobody needs any more, and what removing it gives back."""

from __future__ import annotations

import argparse
import math
from typing import Any

from comfy_env_core.building.engines.needed import needed_engines
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.environments.collection import CollectionPlan, Outcome, collect, plan_collection
from comfy_env_core.environments.garbage import DAY_S, Garbage, Rules
from comfy_env_core.environments.size_text import megabytes

_UNUSED_FOR_DAYS = 7.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")
    parser.add_argument(
        "--unused-for",
        metavar="DAYS",
        type=_days,
        default=_UNUSED_FOR_DAYS,
        help="keep what was used or built in the last DAYS days, also the build before the last, which `roll-back` "
        f"returns to (default: {_UNUSED_FOR_DAYS:g}; 0 keeps none of it)",
    )
    parser.add_argument(
        "--caches",
        action="store_true",
        help="remove the package caches too: environments keep their files, the next builds download again",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED when something that should go could not."""
    rules = Rules(options.unused_for * DAY_S, options.caches, needed_engines(context.store))
    plan = plan_collection(context.store, rules)
    outcome = None if options.dry_run else collect(context.store, plan)
    if context.wants_json:
        context.print_json(as_json(plan, outcome))
    else:
        _tell(context, plan, outcome)
    return FAILED if outcome is not None and outcome.left else FINE


def as_json(plan: CollectionPlan, outcome: Outcome | None) -> dict[str, Any]:
    """`{"dry_run", "store_bytes", "freed_bytes", "items": [{"name", "kind", "path", "environment_id", "reason",
    "unique_bytes", "shared_bytes", "shared_with", "removed", "left_because"}], "kept": [{"name", "reason"}]}`.

    `store_bytes`: what the store took before. `freed_bytes`: what went, or would go. `shared_with`: name of what shares
    it → bytes.
    """
    left = dict(outcome.left) if outcome is not None else {}
    return {
        "dry_run": outcome is None,
        "store_bytes": plan.measurement.total_bytes(),
        "freed_bytes": plan.freed_by(plan.items) if outcome is None else outcome.freed_bytes,
        "items": [_item(plan, outcome, item, left.get(item)) for item in plan.items],
        "kept": [{"name": kept.name, "reason": kept.reason} for kept in plan.kept],
    }


def _item(
    plan: CollectionPlan, outcome: Outcome | None, item: Garbage, left_because: str | None
) -> dict[str, Any]:
    size = plan.size(item)
    return {
        "name": item.name,
        "kind": item.kind.value,
        "path": str(item.path),
        "environment_id": item.environment.id if item.environment is not None else None,
        "reason": item.reason,
        "unique_bytes": size.unique_bytes,
        "shared_bytes": size.shared_bytes,
        "shared_with": dict(size.shared_with),
        "removed": outcome is not None and left_because is None,
        "left_because": left_because,
    }


def _tell(context: Context, plan: CollectionPlan, outcome: Outcome | None) -> None:
    left = dict(outcome.left) if outcome is not None else {}
    going = [item for item in plan.items if item not in left]
    if going:
        context.say("Would be removed:" if outcome is None else "Removed:")
        context.say_rows(
            [(f"  {item.name}", item.kind.value, _size(plan, item), item.reason) for item in going]
        )
    if left:
        context.say("Could not be removed:")
        context.say_rows([(f"  {item.name}", item.kind.value, why) for item, why in left.items()])
    if plan.kept:
        context.say("Stays:")
        context.say_rows([(f"  {kept.name}", kept.reason) for kept in plan.kept])
    if plan.items:
        freed = plan.freed_by(plan.items) if outcome is None else outcome.freed_bytes
        of_all = f"of the {megabytes(plan.measurement.total_bytes())} in {context.store.root}"
        context.say(f"{megabytes(freed)} {of_all} {'would come' if outcome is None else 'came'} back.")
    else:
        context.say(f"Nothing in {context.store.root} can go.")
    if not plan.rules.caches:
        _tell_of_caches(context, plan)


def _tell_of_caches(context: Context, plan: CollectionPlan) -> None:
    names = [name for name in plan.measurement.owners() if name.startswith("cache/")]
    size_bytes = plan.measurement.freed_by_removing(names)
    if size_bytes:
        context.say(f"The package caches hold {megabytes(size_bytes)} more; `gc --caches` removes them.")


def _size(plan: CollectionPlan, item: Garbage) -> str:
    size = plan.size(item)
    shared = f", {megabytes(size.shared_bytes)} shared" if size.shared_bytes else ""
    return f"{megabytes(size.unique_bytes)}{shared}"


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"a number of days is 0 or more, got {text!r}")
    return days


COMMAND = Command(
    name="gc",
    summary="Remove environments that no ComfyUI of this machine uses, and what builds left",
    configure=configure,
    run=run,
    examples=(
        Example("--dry-run", "says what would go, why, and how much room it gives back"),
        Example("", "removes it"),
        Example("--unused-for 0 --caches", "everything that is not in use now, downloads included"),
    ),
    details=(
        "Environments share files with each other and with the caches by hard links: the size told first is what a\n"
        "removal gives back, the shared part is held by others too. Nothing goes that is being built, that a process\n"
        "runs in, or that a ComfyUI used the last time it was started."
    ),
    speaks_json=True,
)
