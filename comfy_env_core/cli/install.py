"""`python install.py`: builds every missing environment beside this pack, with progress, and says what failed."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
import os
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core import assembly
from comfy_env_core.discovery import Scan, host_skips, scan
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import BuildMode, Manager
from comfy_env_core.narration import Narrator
from comfy_env_core.supervision import Service

if TYPE_CHECKING:
    from comfy_env_core.comfyui.services.folders import Folders

log = logging.getLogger("comfy-env")

_PACK_ROOT = Path(__file__).absolute().parents[2]


class InstallServices:
    """`HostServices` where no ComfyUI runs: its directories are known if its code is, there is no page to tell."""

    def __init__(self, comfyui_source: Path | None) -> None:
        self._comfyui_source = comfyui_source

    def find(self, name: str) -> Service | None:
        services = {
            "progress": Service(_nobody_is_told, at_once=True),
            "send_sync": Service(_nobody_is_told, at_once=True),
            "folder_paths": Service(self._answer),
            "folder_paths_change": Service(self._change),
        }
        return services.get(name)

    def _answer(self, *args: Any) -> Any:
        return self._folders.answer(*args)

    def _change(self, *args: Any) -> Any:
        return self._folders.change(*args)

    @functools.cached_property
    def _folders(self) -> Folders:
        if self._comfyui_source is None:
            raise RuntimeError("folder_paths was asked for, and no ComfyUI was found (see COMFYUI_PATH).")
        if str(self._comfyui_source) not in sys.path:
            sys.path.append(str(self._comfyui_source))
        from comfy_env_core.comfyui.services.folders import (
            Folders,
        )  # possible from here on: it imports ComfyUI's folder_paths

        return Folders()


def _nobody_is_told(*args: Any) -> None:
    pass


def main(arguments: Sequence[str]) -> int:
    """0: everything is ready. 1: something failed, told in the last lines. 130: interrupted."""
    options = _parser().parse_args(arguments)
    directories = tuple(Path(os.path.abspath(path)) for path in options.custom_nodes) or (
        _custom_nodes_beside_us(),
    )
    found = _only(options.pack, scan(directories, host_skips(disable_all=False, whitelist=())))
    store = Store.default()
    comfyui_source = assembly.find_comfyui(directories[0])
    manager = assembly.assemble(
        store,
        found,
        comfyui_source=comfyui_source,
        services=InstallServices(comfyui_source),
        mode=BuildMode.BLOCKING,
        host_facts=_host_facts(),
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


def _host_facts() -> dict[str, Any]:
    """ComfyUI's modules refuse to be imported with a torch for the CPU unless they are told `--cpu`."""
    try:
        torch_version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return {}
    return {"cli_args": {"cpu": True}} if torch_version.endswith("+cpu") else {}


def _summary(manager: Manager, elapsed_s: float) -> int:
    failed = [site for site in manager.sites.values() if site.state is not SiteState.READY]
    ready = len(manager.sites) - len(failed)
    log.info("%d ready, %d failed, %.0f s", ready, len(failed), elapsed_s)
    for site in failed:
        log.error("  %s: %s", site.id, site.failure or site.state.value)
    return 1 if failed else 0


def _custom_nodes_beside_us() -> Path:
    """The directory that holds this pack. A linked pack is found by the shell's idea of where it is."""
    shell = os.environ.get("PWD", "")
    if shell and os.path.isdir(shell) and os.path.samefile(shell, _PACK_ROOT):
        return Path(shell).parent
    return _PACK_ROOT.parent


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
