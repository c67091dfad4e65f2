"""`meta.json`: what a finished environment holds and how it came to be."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from comfy_env_core.environments.atomic import write_atomically


class DamagedMeta(Exception):
    """`meta.json` is missing or is not what we write. The environment has to be built again."""


@dataclasses.dataclass(frozen=True)
class MetaPackage:
    """One installed distribution; `source` is "conda" or "pypi"."""

    name: str
    version: str
    source: str


@dataclasses.dataclass(frozen=True)
class Meta:
    """The record of one successful build.

    `facts` are the sorted "name=value" lines that went into the id beside the file; `built_at` is UTC in ISO 8601;
    `left_out`: packages that the file asks for and that need a GPU which is not there.
    """

    environment_id: str
    engine: str
    engine_version: str
    python_version: str
    packages: tuple[MetaPackage, ...]
    config_path: str
    facts: tuple[str, ...]
    built_at: str
    duration_s: float
    manager_version: str
    left_out: tuple[str, ...] = ()


def write_meta(path: Path, meta: Meta) -> None:
    """Writes the record in one step: a reader sees the old one or the new one, never a half."""
    write_atomically(path, json.dumps(dataclasses.asdict(meta), indent=1).encode())


def read_meta(path: Path) -> Meta:
    """Raises `DamagedMeta`, naming what is wrong, for anything but a record that we wrote."""
    try:
        raw = json.loads(path.read_bytes())
        packages = tuple(MetaPackage(**package) for package in raw.pop("packages"))
        facts, left_out = tuple(raw.pop("facts")), tuple(raw.pop("left_out", ()))
        meta = Meta(packages=packages, facts=facts, left_out=left_out, **raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedMeta(f"Reading the build record {str(path)!r} failed: {error!r}.") from error
    wrong = [f.name for f in dataclasses.fields(Meta) if not _has_right_type(meta, f.name)]
    if wrong:
        raise DamagedMeta(f"The build record {str(path)!r} has a wrong type in {', '.join(wrong)}.")
    return meta


def _has_right_type(meta: Meta, name: str) -> bool:
    value = getattr(meta, name)
    if name == "duration_s":
        return isinstance(value, (int, float))
    if name in ("facts", "left_out"):
        return all(isinstance(text, str) for text in value)
    if name == "packages":
        # Not `astuple`, which copies: this is most of the time that reading takes.
        return all(isinstance(text, str) for one in value for text in (one.name, one.version, one.source))
    return isinstance(value, str)
