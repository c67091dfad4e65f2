"""Short questions to programs of this machine: what version are you, what do you find."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

#: Under a program without a console (ComfyUI's desktop application) Windows would open a window for each question.
_NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)


def ask(
    argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The answer, whatever its exit code. Raises OSError when it does not start, TimeoutExpired when it is silent."""
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        env=env,
        check=False,
        creationflags=_NO_WINDOW,
    )
