"""Requirements as pip reads them, "trimesh[easy]>=4; sys_platform == 'win32'", in the shapes of today's file.

Source: the dependency specifiers of PyPA (PEP 508), and pip's own form of a repository, "git+https://…@tag#egg=name".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:  # its module knows documents, which show the slips of TOML with what is read here
    from .requirements import Requirement

_NAMED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9_.-]*)\s*(?:\[([^\]]*)\])?\s*(.*?)\s*", re.DOTALL)
_WHEEL_NAME = re.compile(r"([A-Za-z0-9_.]+)-\d[^-/]*-[^/]*\.whl")
_GIT = "git+"


class NotARequirement(ValueError):
    """The line is something else; the message says what, to follow the line itself."""


@dataclass(frozen=True)
class Line:
    """One requirement: `marker` is the text behind its semicolon, "" where there is none."""

    name: str
    requirement: Requirement
    marker: str


def read_line(text: str) -> Line:
    """The requirement that one line asks for. Raises NotARequirement for options of pip, files and nameless places."""
    text = text.partition(" #")[0].strip()
    if text.startswith("-"):
        raise NotARequirement("is an option of pip, not a package")
    if text.startswith((_GIT, "http://", "https://", "file://")):
        return _nameless(text)
    match = _NAMED.fullmatch(text)
    if match is None:
        raise NotARequirement("does not begin with the name of a package")
    name, extras, rest = match[1], match[2], match[3]
    if rest.startswith("@"):
        place, _, marker = rest[1:].strip().partition(" ;")
        requirement: dict[str, Any] = _place(place.strip())
    else:
        version, _, marker = rest.partition(";")
        requirement = {"version": version.strip().strip("()").strip() or "*"}
    if listed := [extra.strip() for extra in (extras or "").split(",") if extra.strip()]:
        requirement["extras"] = listed
    is_plain = requirement.keys() == {"version"}
    return Line(name, requirement["version"] if is_plain else requirement, marker.strip())


def _nameless(text: str) -> Line:
    """A bare URL: a wheel's file carries the name of its package, a repository only behind "#egg="."""
    place, _, marker = text.partition(" ;")
    parts = urlsplit(place)
    egg = parse_qs(parts.fragment).get("egg")
    wheel = _WHEEL_NAME.fullmatch(parts.path.rpartition("/")[2])
    if egg:
        name = egg[0].partition("[")[0]
    elif wheel:
        name = wheel[1].replace("_", "-")
    else:
        raise NotARequirement("does not say the name of its package")
    return Line(name, _place(place), marker.strip())


def _place(text: str) -> dict[str, Any]:
    """pixi's table for a URL, for a repository ("git+https://host/repo.git@revision#subdirectory=x") or a directory."""
    address, _, fragment = text.partition("#")
    details = parse_qs(fragment)
    subdirectory = {"subdirectory": details["subdirectory"][0]} if "subdirectory" in details else {}
    if address.startswith(_GIT):
        repository, revision = _revision(address.removeprefix(_GIT))
        return {"git": repository, **({"rev": revision} if revision else {}), **subdirectory}
    if address.startswith("file://"):
        return {"path": urlsplit(address).path}
    if "://" not in address:
        return {"path": address}
    return {"url": text}


def _revision(address: str) -> tuple[str, str]:
    """An "@" behind the last slash is a revision; one before it belongs to a user's name."""
    stem, slash, last = address.rpartition("/")
    last, _, revision = last.partition("@")
    return f"{stem}{slash}{last}", revision
