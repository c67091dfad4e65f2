"""One thing that was looked at."""

from __future__ import annotations

import dataclasses
import enum


class Level(enum.Enum):
    OK = "ok"
    WARN = "warn"  #: works, but not as well as it could
    FAIL = "fail"  #: builds will fail because of it


@dataclasses.dataclass(frozen=True)
class Finding:
    """`subject`: a word or two; `text`: what was found; `remedy`: what to do, "" where nothing needs doing."""

    subject: str
    level: Level
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return {"subject": self.subject, "level": self.level.value, "text": self.text, "remedy": self.remedy}


def ok(subject: str, text: str) -> Finding:
    return Finding(subject, Level.OK, text)


def warn(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Level.WARN, text, remedy)


def fail(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Level.FAIL, text, remedy)
