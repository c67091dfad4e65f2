"""What stands behind `comfy_env` in each kind of process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

Say = Callable[[str], Any]


class Backend(Protocol):
    """What differs between ComfyUI's process, a worker, and an installer."""

    @property
    def store(self) -> Path:
        """Where environments are."""
        ...

    def install(self, directory: Path, say: Say | None) -> bool:
        """See to it that the environments of the pack at or around `directory` are built. Raises what prevents it."""
        ...

    def refuse_to_isolate(self, what: str, directory: Path) -> None:
        """Called by a pack that asks, in code that runs here, for it to run elsewhere. Raises if that is not so."""
        ...

    def register_serializer(
        self, type_name: str, serialize: Any, deserialize: Any, tag: str, source: Path
    ) -> None:
        """Let objects of a class travel by these functions."""
        ...
