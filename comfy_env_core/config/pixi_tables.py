"""The part of a file that goes to pixi's manifest as it is, checked where a slip would be hard to find later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .document import Document, KeyPath
from .requirements import read_conda, read_pypi
from .values import kind, strings, table

# The top level of pixi's manifest (JSON schema of pixi.toml), less what names several environments: one file is one.
PIXI_KEYS = frozenset(
    (
        *(
            "$schema",
            "activation",
            "build-dependencies",
            "constraints",
            "dependencies",
            "dev",
            "exclude-newer",
        ),
        *(
            "host-dependencies",
            "package",
            "project",
            "pypi-dependencies",
            "pypi-exclude-newer",
            "pypi-options",
        ),
        *("system-requirements", "target", "tasks", "tool", "workspace"),
    )
)
SEVERAL_ENVIRONMENTS = frozenset(("environments", "feature"))

_TEXT_OR_TABLE = frozenset(("$schema", "exclude-newer", "pypi-exclude-newer"))
_CONDA_TABLES = ("dependencies", "build-dependencies", "host-dependencies", "constraints")
_PROJECT_TABLES = ("workspace", "project")

_SYSTEMS = frozenset(("unix", "linux", "osx", "win"))
_ARCHITECTURES = frozenset(
    (
        *("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64", "win-arm64", "linux-32", "win-32"),
        *("linux-armv6l", "linux-armv7l", "linux-ppc64", "linux-ppc64le", "linux-riscv32", "linux-riscv64"),
        *("linux-s390x", "emscripten-wasm32", "wasi-wasm32", "zos-z", "noarch"),
    )
)
_USUAL_NAMES = {
    "windows": "win",
    "macos": "osx",
    "darwin": "osx",
    "linux-x86_64": "linux-64",
    "linux-arm64": "linux-aarch64",
}


def check_pixi_table(document: Document, name: str, value: Any) -> None:
    """ConfigError if the top-level key `name` cannot be what pixi takes under it."""
    if name in _TEXT_OR_TABLE:
        return
    content = table(document, (name,), value)
    if name in _CONDA_TABLES:
        read_conda(document, (name,), content)
    elif name == "target":
        _check_targets(document, content)
    elif name in _PROJECT_TABLES and "channels" in content:
        _check_channels(document, (name, "channels"), content["channels"])


def _check_targets(document: Document, targets: Mapping[str, Any]) -> None:
    for platform, value in targets.items():
        key = ("target", platform)
        if platform not in _SYSTEMS | _ARCHITECTURES:
            usual = _USUAL_NAMES.get(platform.lower(), "linux-64")
            known = ", ".join(sorted(_SYSTEMS))
            remedy = (
                f"Write [target.{usual}]; known are {known} and platforms such as linux-64, osx-arm64, win-64"
            )
            raise document.error(key, f"{platform!r} is not a platform", remedy)
        for name, content in table(document, key, value).items():
            if name in _CONDA_TABLES:
                read_conda(document, (*key, name), content)
            elif name == "pypi-dependencies":
                read_pypi(document, (*key, name), content)


def _check_channels(document: Document, key: KeyPath, channels: Any) -> None:
    """Channels are names or URLs, or tables with a priority beside the name."""
    if not isinstance(channels, list):
        strings(document, key, channels)
        return
    for channel in channels:
        if isinstance(channel, str) and channel.strip():
            continue
        if isinstance(channel, dict) and isinstance(channel.get("channel"), str):
            continue
        problem = f"a channel should be its name or URL, but one is {kind(channel)}, {channel!r}"
        raise document.error(key, problem, 'Write channels = ["conda-forge"]')
