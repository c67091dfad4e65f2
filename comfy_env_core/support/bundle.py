"""One zip with everything that explains a failure, redacted, and with a summary in words."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from comfy_env_core.support.redaction import Redactor

log = logging.getLogger("comfy-env")

SUMMARY = "summary.txt"
#: The archive is the same for the same content: times would only tell when somebody asked.
_MOMENT = (1980, 1, 1, 0, 0, 0)


class Part(NamedTuple):
    """`content`: called once; text, or JSON (Any)."""

    name: str
    content: Callable[[], Any]


def write_bundle(parts: Iterable[Part], redactor: Redactor) -> bytes:
    """The zip. What cannot be gathered is told in its place: the rest matters all the more then."""
    target, names = io.BytesIO(), _Names()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            name = names.free(redactor.name(part.name))
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, _redacted(part, redactor).encode("utf-8", "backslashreplace"))
    return target.getvalue()


def _redacted(part: Part, redactor: Redactor) -> str:
    try:
        content = part.content()
    except Exception as error:  # the boundary of each part, whatever gathers it
        log.warning("%s for the support bundle could not be gathered", part.name, exc_info=error)
        content = f"This could not be gathered: {type(error).__name__}: {error}\n"
    if isinstance(content, str):
        return redactor.text(content)
    return json.dumps(redactor.value(content), indent=1, ensure_ascii=False) + "\n"


class _Names:
    """Two names may be the same once they are redacted."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        stem, dot, suffix = name.rpartition(".")
        number, free = 1, name
        while free.lower() in self._taken:
            number += 1
            free = f"{stem}-{number}{dot}{suffix}" if dot else f"{name}-{number}"
        self._taken.add(free.lower())
        return free
