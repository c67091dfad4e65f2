"""What a fetch of one pack brought."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fetched:
    """`version`: what was got, for people ("tag v1.0, commit 1a2b3c4d5e6f"). `notes`: what a user should know of it."""

    version: str
    notes: tuple[str, ...] = ()
