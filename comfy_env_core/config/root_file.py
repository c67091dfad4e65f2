"""`comfy-env-root.toml`: what a pack asks for outside its environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .document import Document, read_document
from .errors import ConfigWarning
from .generations import modernised_root
from .prerequisites import PREREQUISITE_SECTIONS, Prerequisites, read_prerequisites
from .values import inline, kind, table

_OURS = frozenset((*PREREQUISITE_SECTIONS, "types"))
#: How a socket type travels, under [types]: as any other object, or by the functions in the pack's own file.
BUILTIN, CUSTOM = "builtin", "custom"
CODEC_FILE_NAME = "serialization.py"
# Sections that other tools install into ComfyUI's own Python; here that Python is never changed.
_HOST_SECTIONS = frozenset(
    ("python", "cuda", "dependencies", "pypi-dependencies", "env_vars", "target", "options", "local")
)


@dataclass(frozen=True)
class RootSpec:
    """A `comfy-env-root.toml`, checked.

    `types` maps socket types to how they travel: BUILTIN, or CUSTOM, by the functions in the pack's CODEC_FILE_NAME.
    `passthrough` holds every other key as TOML gave it; each that is not empty has a warning, because nothing acts on
    it.
    """

    path: Path
    source: bytes
    prerequisites: Prerequisites
    types: Mapping[str, str]
    passthrough: Mapping[str, Any]
    warnings: tuple[ConfigWarning, ...]


def parse_root(text: bytes, path: Path) -> RootSpec:
    """What `text` asks for; `path` is for messages. Raises ConfigError, and nothing else."""
    document, older = modernised_root(read_document(text, path))
    tables = document.tables
    passthrough = {name: value for name, value in tables.items() if name not in _OURS}
    return RootSpec(
        path=path,
        source=text,
        prerequisites=read_prerequisites(document),
        types=_types(document, tables.get("types", {})),
        passthrough=passthrough,
        warnings=(
            *older,
            *(_without_effect(document, name) for name, value in passthrough.items() if not _is_empty(value)),
        ),
    )


def _types(document: Document, value: Any) -> Mapping[str, str]:
    section = table(document, ("types",), value)
    for name, way in section.items():
        if way not in (BUILTIN, CUSTOM):
            problem = f"how {name!r} travels is {kind(way)}, {way!r}"
            remedy = (
                f'Write "{BUILTIN}", or "{CUSTOM}" if {CODEC_FILE_NAME} in the pack\'s directory packs it'
            )
            raise document.error(("types", name), problem, remedy)
    return dict(section)


def _is_empty(value: Any) -> bool:
    """Whether a section asks for nothing: empty itself, or holding only empty tables and lists."""
    if isinstance(value, dict):
        return all(_is_empty(inner) for inner in value.values())
    return isinstance(value, list) and not value


def _without_effect(document: Document, name: str) -> ConfigWarning:
    written = f"{name} = {inline(document.tables[name])}"
    if name in _HOST_SECTIONS:
        problem = (
            f"{written} asks for a change of ComfyUI's own Python, which is never changed, and has no effect"
        )
        remedy = "Move it into a comfy-env.toml in the directory of the nodes that need it"
        return document.warning((name,), problem, remedy)
    if close := get_close_matches(name.lower().replace("-", "_"), sorted(_OURS), n=1, cutoff=0.8):
        raise document.error(
            (name,), f"{name!r} is not a section of this file", f"Did you mean [{close[0]}]? Rename it"
        )
    remedy = f"Remove it; this file has {', '.join(f'[{section}]' for section in sorted(_OURS))}"
    return document.warning((name,), f"{written} is not known here and has no effect", remedy)
