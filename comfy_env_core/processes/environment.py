"""The environment variables a child of ours is given."""

from __future__ import annotations

import os
from collections.abc import Mapping

# Settings of tools and interpreters that belong to the user's own shell. A build or a worker that inherited
# them would silently use another index, another prefix or another standard library than the one we planned.
FOREIGN_PREFIXES = ("UV_", "PIP_", "PYTHON", "CONDA_", "_CONDA_", "PIXI_", "RATTLER_", "MAMBA_")
FOREIGN_NAMES = frozenset({"VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "__PYVENV_LAUNCHER__", "_CE_CONDA", "_CE_M"})


def clean_environment(base: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """`base` without foreign tool settings, plus `extra`, which always wins.

    `LD_PRELOAD` and friends stay: memory allocators and GPU shims are set that way on purpose.
    """
    kept = {name: value for name, value in base.items() if not _is_foreign(name)}
    kept.update(extra)
    return kept


def _is_foreign(name: str) -> bool:
    # Windows looks variables up without regard to case; elsewhere "python_x" is somebody's own name.
    key = name.upper() if os.name == "nt" else name
    return key in FOREIGN_NAMES or key.startswith(FOREIGN_PREFIXES)
