"""What a tool does for us, line by line, on stderr."""

from __future__ import annotations

import logging

from comfy_env_core.building.report import Phase, QuietReport

log = logging.getLogger("comfy-env")


class SpokenReport(QuietReport):
    """Every phase once, and every line of output. Ctrl+C is the way to cancel."""

    def __init__(self) -> None:
        self._said = ""

    def phase(self, phase: Phase, text: str = "") -> None:
        if text and text != self._said:
            self._said = text
            log.info("%s", text)

    def log(self, line: str) -> None:
        log.info("  %s", line)
