"""Locks: the exact files of an environment, made once and built from alone.

`model` says what a lock holds, `lock_file` reads and writes `comfy-env.lock`. `locking` makes one for any platform,
`recording` keeps the result of a build as one. `fitting` decides whether one fits this machine, `locating` where its
files are to be had here; `pixi_lock` and `conda_meta` translate to and from what pixi and conda write.
"""

from __future__ import annotations

LOCK_NAME = "comfy-env.lock"

__all__ = ["LOCK_NAME"]
