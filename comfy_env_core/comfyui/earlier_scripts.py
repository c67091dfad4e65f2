"""Prestartup scripts that ComfyUI ran before ours, and that failed because `comfy_env` was not there yet.

ComfyUI runs them in the order of `os.listdir`, which a pack cannot choose. Those that import comfy_env without asking
whether it is there ended at that line; they are run once more, now that it is.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

log = logging.getLogger("comfy-env")

_SCRIPT = "prestartup_script.py"
_MODULE = "comfy_env"


def is_comfy_env_installed() -> bool:
    """Whether scripts that ran before found one. To be asked before ours is served."""
    return importlib.machinery.PathFinder.find_spec(_MODULE) is not None


def run_again(custom_nodes: Sequence[Path], own: Path, isolated: Collection[Path]) -> None:
    """`own` is our folder; packs in `isolated` are isolated as a whole, and their scripts are their workers'."""
    for script in _scripts_before(custom_nodes, own):
        if script.parent in isolated or not _ended_at_its_import(script):
            continue
        log.info("%s: run again, since comfy_env was not there when ComfyUI ran it.", script)
        try:
            _run(script)
        except (Exception, SystemExit) as error:  # a pack's code; ComfyUI goes on, too
            log.error("%s failed again: %s: %s", script, type(error).__name__, error, exc_info=error)


def _scripts_before(custom_nodes: Sequence[Path], own: Path) -> Iterator[Path]:
    """In ComfyUI's order, up to ours."""
    for directory in custom_nodes:
        names = os.listdir(directory) if directory.is_dir() else []
        for name in names:
            if os.path.realpath(directory / name) == os.path.realpath(own):
                return
            script = directory / name / _SCRIPT
            if not name.endswith(".disabled") and script.is_file():
                yield script


def _ended_at_its_import(script: Path) -> bool:
    """Whether it imports comfy_env on its top level: inside of `try` or a condition it may have gone on without."""
    try:
        tree = ast.parse(script.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return False
    names = [
        alias.name if isinstance(statement, ast.Import) else statement.module or ""
        for statement in tree.body
        if isinstance(statement, (ast.Import, ast.ImportFrom)) and not getattr(statement, "level", 0)
        for alias in statement.names
    ]
    return any(name.partition(".")[0] == _MODULE for name in names)


def _run(script: Path) -> None:
    """As ComfyUI does."""
    spec = importlib.util.spec_from_file_location(str(script.with_suffix("")), script)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
