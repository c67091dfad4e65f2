"""Processes that node code forks: what leaves the node's function in one must not go on as a second worker."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn, Optional


def leave(error: Optional[BaseException]) -> NoReturn:
    """End this process as a program that ends with `error`, without what was to happen at the worker's exit."""
    code = _exit_code(error)
    try:
        if error is not None and not isinstance(error, SystemExit):
            traceback.print_exception(type(error), error, error.__traceback__)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _exit_code(error: Optional[BaseException]) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return error.code or 0
    return 1
