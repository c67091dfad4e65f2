"""What a lock holds: for each platform the exact files of an environment, with their checksums."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfy_env_core.config import EnvSpec


@dataclasses.dataclass(frozen=True)
class CondaPackage:
    """One conda package. `record` is its repodata record as conda writes it (name, version, build, url, sha256, …)."""

    record: Mapping[str, Any]  # Any: values of conda's format, checked where they are read

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def version(self) -> str:
        return str(self.record["version"])

    @property
    def depends(self) -> tuple[str, ...]:
        return tuple(self.record.get("depends", ()))


@dataclasses.dataclass(frozen=True)
class IndexedFile:
    """A wheel or source archive of an index. `url` is "" where only the author's own mirror was known to have it."""

    filename: str
    url: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class PypiPackage:
    """One PyPI package. `version` is "" for directories and repositories, which have none before they are built.

    - `files`: what an index has of it for this platform and Python; `index`: which, None for the main one.
    - `source`: instead of files, one of PEP 751's tables: {"vcs": …}, {"directory": …} or {"archive": …}.
    """

    name: str
    version: str
    files: tuple[IndexedFile, ...] = ()
    index: str | None = None
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # Any: values of PEP 751

    @property
    def urls(self) -> tuple[str, ...]:
        """Where its files come from."""
        archive = self.source.get("archive", {})
        return tuple(file.url for file in self.files if file.url) or tuple(filter(None, [archive.get("url")]))

    @property
    def must_be_built(self) -> bool:
        """Whether it has no wheel."""
        archive = self.source.get("archive", {})
        place = str(archive.get("url", archive.get("path", ""))).partition("#")[0]
        return not place.endswith(".whl") and not any(file.filename.endswith(".whl") for file in self.files)


@dataclasses.dataclass(frozen=True)
class LockedEnvironment:
    """The packages for one platform.

    - `python`: the interpreter's version, in full if conda brings it, otherwise the series ("3.11").
    - `needs`: what the machine must have, version by name: "glibc", "macos", "cuda".
    - `follows`: names that are not in here because they follow the machine and its ComfyUI, such as torch.
    - `channels`: the conda channels asked, as URLs. The packages are sorted by name.
    """

    platform: str
    python: str
    needs: Mapping[str, str]
    follows: tuple[str, ...]
    channels: tuple[str, ...]
    conda: tuple[CondaPackage, ...]
    pypi: tuple[PypiPackage, ...]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be resolved where it is built."""
        return not self.follows

    @property
    def digest(self) -> str:
        """Stands for the content in an environment's id."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Lock:
    """A lock file. `meaning`: of the `comfy-env.toml` that it was made for (see `meaning_of`)."""

    path: Path
    meaning: str
    environments: tuple[LockedEnvironment, ...]


def meaning_of(spec: EnvSpec) -> str:
    """sha256 over what the file asks to be installed: comments, order, and `[env_vars]` change nothing of a lock."""
    asked = {
        "python": spec.python,
        "dependencies": spec.dependencies,
        "pypi-dependencies": spec.pypi_dependencies,
        "cuda": sorted(spec.cuda_packages),
        "host": spec.options.host.value,
        "rest": {name: value for name, value in spec.passthrough.items() if name not in spec.unknown},
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no value of TOML.")
