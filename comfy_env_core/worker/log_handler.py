"""What is logged in the worker goes home through its output, with level and logger, in order with what is printed."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Any

from comfy_env_core.wire.log_records import LogLine, pack_line


def install_log_handler(level: Any) -> None:
    """From now on the root logger tells the host. `level`: the host's own, below which nothing is sent; INFO if it is
    not known."""
    root = logging.getLogger()
    root.addHandler(HomeHandler(os.dup(1)))
    root.setLevel(level if isinstance(level, int) else logging.INFO)


class HomeHandler(logging.Handler):
    """Writes records to a descriptor of its own: node code may redirect the usual ones."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        try:
            name = "" if record.name == "root" else record.name
            line = pack_line(LogLine(record.levelno, name, self.format(record)))
            for stream in (sys.__stdout__, sys.__stderr__):
                if stream is not None:
                    with contextlib.suppress(ValueError):  # closed by node code
                        stream.flush()  # what was printed before comes before
            while line:
                line = line[os.write(self._descriptor, line) :]
        except Exception:  # noqa: BLE001  # arguments that do not fit the format: as logging's own handlers do
            self.handleError(record)
