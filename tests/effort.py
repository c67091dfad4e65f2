"""How long the tests that repeat go on: killing, fuzzing, breaking. `nox -s tests` takes the shortest way."""

from __future__ import annotations

import dataclasses
import random

LEVELS = ("short", "quick", "full")


@dataclasses.dataclass(frozen=True)
class Effort:
    """`level` is one of LEVELS; the same `seed` makes the same choices."""

    level: str
    seed: int

    def of(self, *, short: int, quick: int, full: int) -> int:
        """The number for this level: rounds, inputs."""
        return {"short": short, "quick": quick, "full": full}[self.level]

    def chance(self, name: str) -> random.Random:
        """Random choices of one test, which no other test's choices move."""
        return random.Random(f"{self.seed} {name}")
