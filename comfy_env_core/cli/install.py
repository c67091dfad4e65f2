"""`python install.py`: builds every missing environment beside this pack, with progress, and says what failed."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from comfy_env_core import assembly
from comfy_env_core.cli.custom_nodes import beside_us
from comfy_env_core.cli.host_services import InstallServices, host_facts
from comfy_env_core.discovery import Scan, host_skips, scan
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode, Manager
from comfy_env_core.narration import Narrator

log = logging.getLogger("comfy-env")


def main(arguments: Sequence[str]) -> int:
    """0: everything is ready. 1: something failed, told in the last lines. 130: interrupted."""
    options = _parser().parse_args(arguments)
    directories = tuple(Path(os.path.abspath(path)) for path in options.custom_nodes) or (beside_us(),)
    found = _only(options.pack, scan(directories, host_skips(disable_all=False, whitelist=())))
    store = Store.default()
    comfyui_source = assembly.find_comfyui(directories[0])
    manager = assembly.assemble(
        store,
        found,
        comfyui_source=comfyui_source,
        services=InstallServices(comfyui_source),
        mode=BuildMode.BLOCKING,
        host_facts=host_facts(),
    )
    manager.add_listener(Narrator(log, manager.names_of))
    log.info(
        "%d isolated in %s; environments in %s",
        len(found.sites),
        ", ".join(map(str, directories)),
        store.root,
    )
    began = time.monotonic()
    try:
        manager.allow_workers()
        manager.start()
        manager.prepare()
        manager.wait()
    except KeyboardInterrupt:
        log.error("Interrupted; nothing half-built will be taken for ready.")
        return 130
    finally:
        manager.shutdown()
    return _summary(manager, time.monotonic() - began)


def _only(packs: Sequence[str], found: Scan) -> Scan:
    """What was found of these packs, or all if none is named."""
    if not packs:
        return found
    return dataclasses.replace(
        found, sites=tuple(site for site in found.sites if site.pack.path.name in packs)
    )


def _summary(manager: Manager, elapsed_s: float) -> int:
    failed = [site for site in manager.sites.values() if site.state is not SiteState.READY]
    ready = len(manager.sites) - len(failed)
    log.info("%d ready, %d failed, %.0f s", ready, len(failed), elapsed_s)
    for site in failed:
        log.error("  %s: %s", site.id, site.failure or site.state.value)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="install.py", description=__doc__)
    parser.add_argument(
        "custom_nodes",
        nargs="*",
        type=Path,
        help="custom_nodes directories; the default is the one that this pack lies in",
    )
    parser.add_argument(
        "--pack", action="append", default=[], help="build for this folder alone; may be given several times"
    )
    return parser
