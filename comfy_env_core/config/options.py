"""What a pack asks of comfy-env manager itself: the [options] section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from typing import Any

from .document import Document
from .errors import ConfigWarning
from .keys import KeyPath
from .values import strings, table


class HostNeed(Enum):
    """What of ComfyUI an environment gets beyond its file; AUTO reads the pack's source to find out."""

    AUTO = "auto"
    NONE = "none"
    TORCH = "torch"
    COMFYUI = "comfyui"


@dataclass(frozen=True)
class Options:
    """`in_host` names what stays in ComfyUI's own process; `other` keeps keys this version does not know."""

    host: HostNeed = HostNeed.AUTO
    in_host: tuple[str, ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)


_KNOWN = ("host", "in_host")


def read_options(document: Document, key: KeyPath, value: Any) -> tuple[Options, tuple[ConfigWarning, ...]]:
    """The options, with a warning for each unknown one; ConfigError for a value that is not one of its key's."""
    section = table(document, key, value)
    other = {name: setting for name, setting in section.items() if name not in _KNOWN}
    options = Options(
        host=_host_need(document, (*key, "host"), section.get("host", HostNeed.AUTO.value)),
        in_host=strings(document, (*key, "in_host"), section.get("in_host", [])),
        other=other,
    )
    return options, tuple(_unknown(document, (*key, name)) for name in other)


def _host_need(document: Document, key: KeyPath, value: Any) -> HostNeed:
    allowed = [need.value for need in HostNeed]
    if value in allowed:
        return HostNeed(value)
    close = get_close_matches(str(value), allowed, n=1)
    example = close[0] if close else HostNeed.AUTO.value
    listed = ", ".join(f'"{name}"' for name in allowed)
    raise document.error(key, f"{value!r} is not one of {listed}", f'Write host = "{example}"')


def _unknown(document: Document, key: KeyPath) -> ConfigWarning:
    close = get_close_matches(key[-1], _KNOWN, n=1)
    remedy = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(_KNOWN)}"
    return document.warning(
        key, f"option {key[-1]!r} is not known here and has no effect", remedy.rstrip("?")
    )
