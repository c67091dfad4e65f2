"""Names and versions of packages, as plans compare them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from comfy_env_core.config import Requirement

#: conda packages that bring the distribution which PyPI knows under another name.
_PYPI_NAME_OF_CONDA = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "msgpack-python": "msgpack",
    "py-opencv": "opencv-python",
    "opencv": "opencv-python",
}


def normalised_name(name: str) -> str:
    """A distribution's name as PEP 503 compares it: "Flash_Attn" → "flash-attn"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pypi_name_of_conda(name: str) -> str:
    """The normalised PyPI name of what a conda package brings, where that differs in a way that matters here."""
    normal = normalised_name(name)
    return _PYPI_NAME_OF_CONDA.get(normal, normal)


def normalised_names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(normalised_name(name) for name in names)


def range_of(requirement: Requirement) -> str | None:
    """The version range; None for a requirement that names a place (git, url, path) instead of a version."""
    if isinstance(requirement, str):
        return requirement
    if {"git", "url", "path"} & requirement.keys():
        return None
    return str(requirement.get("version", "*"))


def is_any(requirement: Requirement) -> bool:
    return (range_of(requirement) or "").strip() in ("*", "") and range_of(requirement) is not None


def exact_version(requirement: Requirement) -> str | None:
    """ "2.8.0" for "==2.8.0"; None for anything that leaves a choice."""
    match = re.fullmatch(r"={2,3}\s*(\d[\w.!+]*)", (range_of(requirement) or "").strip())
    return match[1] if match else None


def with_fields(requirement: Requirement, **fields: str) -> Requirement:
    """The requirement with these fields added in pixi's table form, as far as it does not have them already."""
    table = {"version": requirement} if isinstance(requirement, str) else dict(requirement)
    return {**table, **{name: value for name, value in fields.items() if name not in table}}


def split_requirement_line(line: str) -> tuple[str, tuple[str, ...], str] | None:
    """(name, extras, range) of a line of requirements.txt without its marker; None for options, URLs and comments."""
    match = re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[([^\]]*)\])?\s*([^;#@]*)", line)
    if match is None or "://" in line or "@" in line.partition(";")[0]:
        return None
    extras = tuple(extra.strip() for extra in (match[2] or "").split(",") if extra.strip())
    return match[1], extras, match[3].strip().strip("()") or "*"
