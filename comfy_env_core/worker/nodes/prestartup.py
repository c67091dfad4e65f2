"""The prestartup script of a pack that is isolated as a whole: run here, since ComfyUI may lack what it imports."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("comfy-env.worker")


class Prestartup:
    """`script` may be missing or None. `load(name, path)` runs a file as a module."""

    def __init__(self, script: Path | None, load: Callable[[str, str], Any]) -> None:
        self._script = script
        self._load = load

    def run_once(self) -> None:
        """Run it, if it has not been. What it raises is logged and no more: ComfyUI loads the pack anyway."""
        script, self._script = self._script, None
        if script is None or not script.is_file():
            return
        try:
            # ComfyUI's name for it.
            self._load(str(script.with_suffix("")), str(script))
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # foreign code; SystemExit ends neither ComfyUI nor a worker
            log.error(
                "%s failed in the pack's own environment: %s: %s",
                script,
                type(error).__name__,
                error,
                exc_info=error,
            )
