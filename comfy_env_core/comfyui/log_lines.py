"""Our lines in ComfyUI's log say whose they are: ComfyUI prints messages without the logger's name."""

from __future__ import annotations

import logging

LOGGER = "comfy-env"


class NamingHandler(logging.Handler):
    """Passes every record on to the root logger with its logger's name in front: `[comfy-env.pack] …`."""

    def emit(self, record: logging.LogRecord) -> None:
        named = logging.makeLogRecord(vars(record))
        named.msg, named.args = f"[{record.name}] {record.getMessage()}", None
        logging.getLogger().handle(named)


def name_our_lines() -> None:
    """Once per process. Levels stay the host's: the root logger's handlers filter as before."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, NamingHandler) for handler in logger.handlers):
        logger.addHandler(NamingHandler())
        logger.propagate = False
