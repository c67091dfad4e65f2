"""Locks: the exact files of an environment, made once and built from alone.

`model` says what a lock holds, `lock_file` reads and writes `comfy-env.lock`, `fitting` decides whether one fits this
machine, `pixi_lock` and `conda_meta` translate from and to what pixi and conda write, `locking` makes one.
"""

from __future__ import annotations

LOCK_NAME = "comfy-env.lock"

__all__ = ["LOCK_NAME"]
