"""What stands in the bundle, in words: for whoever opens it first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from comfy_env_core.environments.size_text import megabytes

_HEAD = """\
Support bundle of comfy-env manager
===================================

Names, places on disks, addresses and secrets were replaced: <home>, <user>, <store>, <secret>, <email-1>, … Look
through the files before you hand them on: nobody knows your secrets as well as you do.
"""


def summarise(
    versions: Mapping[str, Any], status: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]
) -> str:
    """Any: JSON; `status` as `GET /comfy-env/status` has it, `findings` as doctor has them."""
    return "\n".join([_HEAD, *_machine(versions, status), "", *_sites(status), "", *_findings(findings), ""])


def _machine(versions: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[str]:
    store, engine, policy = status["store"], status["engine"], status["policy"]
    used = f", last used {engine['last_used']} {engine['last_version']}" if engine["last_used"] else ""
    room = f", {megabytes(store['free_bytes'])} free" if store["free_bytes"] is not None else ""
    yield f"comfy-env manager  {versions['comfy-env manager']}"
    yield f"ComfyUI            {versions['ComfyUI'] or 'not known'}"
    yield f"Python             {versions['Python']}"
    yield f"system             {versions['system']}"
    yield f"GPU                builds for {versions['GPU']['environments are built for']}"
    yield f"engine             {engine['setting']}{used}"
    yield f"store              {store['root']}{room}"
    yield f"building           {policy['build_mode']}{'' if policy['may_change'] else ', ' + str(policy['why_not'])}"
    if store["problem"]:
        yield f"                   {store['problem']}"


def _sites(status: Mapping[str, Any]) -> Iterator[str]:
    sites = status["sites"]
    counts = Counter(site["state"] for site in sites)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    yield f"{len(sites)} isolated: {told}" if sites else "Nothing is isolated."
    for site in sites:
        yield f"  {site['state']:10} {site['id']} (environment {site['environment_id'] or 'not known'})"
        failure = site["failure"]
        if failure is not None:
            yield f"             {failure['message']}"
            yield f"             -> {failure['remedy']}"


def _findings(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    remarkable = [finding for finding in findings if finding["level"] != "ok"]
    yield f"Doctor looked at {len(findings)} things; {len(remarkable)} are worth knowing."
    for finding in remarkable:
        yield f"  {finding['level']:4} {finding['subject']}: {finding['text']}"
        if finding["remedy"]:
            yield f"       -> {finding['remedy']}"
