"""The first steps of every way in, with the standard library alone: make our own libraries importable, then go on."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from comfy_env_core import bootstrap
from comfy_env_core.environments.place import StoreUnreachable

log = logging.getLogger("comfy-env")


def prestartup() -> None:
    """Called at ComfyUI's prestartup. Raises only what ComfyUI shall show as a failed start-up script."""
    problem = _prepare()
    # Both need ComfyUI, the second also the libraries that `_prepare` has just made importable.
    if problem is not None:
        from comfy_env_core.comfyui import refusal

        refusal.refuse_isolated_packs(problem)
    else:
        from comfy_env_core.comfyui import startup

        startup.prestartup()


def install(arguments: list[str]) -> int:
    """Builds what is missing; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if _prepare() is not None:
        return 1
    # Needs the libraries that `_prepare` has just made importable.
    from comfy_env_core.cli import install as command

    return command.main(arguments)


def command_line(arguments: list[str]) -> int:
    """`python -m comfy_env_core …`; returns the exit code. Results go to stdout, everything else to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if _prepare() is not None:
        return 1
    # Needs the libraries that `_prepare` has just made importable.
    from comfy_env_core.cli import program

    return program.main(arguments)


def serve_comfy_env() -> None:
    """Makes `import comfy_env` work in this program, which is the installer of a pack."""
    from comfy_env_core.cli.comfy_env import InstallerBackend
    from comfy_env_core.compat import ComfyEnvFinder

    ComfyEnvFinder(InstallerBackend(install, _store_root())).install()


def _prepare() -> str | None:
    """Makes our own libraries importable; logs and returns what is in the way: a store or a library that is missing."""
    try:
        root = _store_root()
    except StoreUnreachable as error:
        log.error("%s", error)
        return str(error)
    outcome = bootstrap.ensure_runtime(root)
    if not outcome.missing:
        return None
    names = " ".join(outcome.missing)
    problem = (
        f"comfy-env manager needs {names.replace(' ', ' and ')}, which ComfyUI's Python lacks and which could not be "
        f"fetched ({outcome.problem}). Run: {sys.executable} -m pip install {names}"
    )
    log.error("%s", problem)
    return problem


def _store_root() -> Path:
    """Where `environments.store` has it too; that module may need what is missing."""
    from comfy_env_core.environments.store import Store

    return Store.default(os.environ).root
