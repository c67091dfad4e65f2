"""Where pip, uv and pixi keep what their user configured, and what stands there. Stdlib only (tomli if it is there).

Each reader returns the tool's own keys, later files laid over earlier ones exactly as the tool does it, together with
the files that contributed. A file that cannot be read or parsed is left out and named in a warning: the user's pip
works without us, so a damaged file of theirs must not stop a build here.

Source: pip's "Configuration" topic guide, uv's "Configuration files" concept page, pixi's "Configuration" page.
"""

from __future__ import annotations

import configparser
import dataclasses
import importlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

#: The sections of pip.conf that speak about installing, weakest first (pip lays the command's own over [global]).
_PIP_SECTIONS = ("global", "download", "install")


@dataclasses.dataclass(frozen=True)
class ToolOptions:
    """What one tool was told. `values`: the tool's keys with dashes; strings for pip, TOML values for uv and pixi."""

    values: Mapping[str, Any]  # Any: TOML values of another tool's format, checked where they are used
    files: tuple[Path, ...]

    def text(self, key: str) -> str | None:
        """The value of `key` if it is a non-empty string."""
        value = self.values.get(key)
        return value.strip() if isinstance(value, str) and value.strip() else None

    def words(self, key: str) -> tuple[str, ...]:
        """The value of `key` as a list: TOML arrays of strings, or text split at white space as pip does."""
        value = self.values.get(key)
        if isinstance(value, str):
            return tuple(value.split())
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def table(self, key: str) -> Mapping[str, Any]:
        value = self.values.get(key)
        return value if isinstance(value, dict) else {}


def pip_options(environ: Mapping[str, str], home: Path) -> ToolOptions:
    """pip's settings: its configuration files, then `PIP_*` variables over them."""
    values: dict[str, str] = {}
    files: list[Path] = []
    for path in _existing(_pip_files(environ, home)):
        found = _read_ini(path)
        if found:
            values.update(found)
            files.append(path)
    for name, value in environ.items():
        if name.startswith("PIP_") and name != "PIP_CONFIG_FILE" and value.strip():
            values[name[4:].lower().replace("_", "-")] = value
    return ToolOptions(values, tuple(files))


def uv_options(environ: Mapping[str, str], home: Path) -> ToolOptions:
    """uv's settings files (not its variables), system before user; `UV_CONFIG_FILE` replaces both."""
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true", "yes", "on"):
        return ToolOptions({}, ())
    explicit = environ.get("UV_CONFIG_FILE")
    if explicit:
        return _merged_toml([Path(explicit)])
    return _merged_toml(
        [*_system_directories(environ, "uv", "uv.toml"), _user_directory(environ, home) / "uv/uv.toml"]
    )


def pixi_options(environ: Mapping[str, str], home: Path) -> ToolOptions:
    """The settings of pixi and of rattler's other tools: system, then user, then pixi's home."""
    if environ.get("PIXI_NO_CONFIG", "").lower() in ("1", "true", "yes", "on"):
        return ToolOptions({}, ())
    explicit = environ.get("PIXI_CONFIG_FILE")
    if explicit:
        return _merged_toml([Path(explicit)])
    user = [_user_directory(environ, home)]
    if sys.platform == "darwin":
        user.append(home / "Library/Application Support")
    paths = list(_system_directories(environ, "pixi", "config.toml"))
    paths += [directory / tool / "config.toml" for tool in ("rattler", "pixi") for directory in user]
    paths.append(Path(environ.get("PIXI_HOME") or home / ".pixi") / "config.toml")
    return _merged_toml(paths)


def _pip_files(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    explicit = environ.get("PIP_CONFIG_FILE")
    if explicit == os.devnull:  # pip's documented way to switch all files off
        return
    name = "pip.ini" if os.name == "nt" else "pip.conf"
    if os.name == "nt":
        yield Path(environ.get("PROGRAMDATA", "C:/ProgramData")) / "pip" / name
        yield home / "pip" / name
        yield Path(environ.get("APPDATA") or home / "AppData/Roaming") / "pip" / name
    else:
        if sys.platform == "darwin":
            yield Path("/Library/Application Support/pip") / name
        for directory in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)):
            yield Path(directory) / "pip" / name
        yield Path("/etc") / name
        yield home / ".pip" / name
        if sys.platform == "darwin":
            yield home / "Library/Application Support/pip" / name
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / name
    yield Path(sys.prefix) / name
    if explicit:
        yield Path(explicit)


def _system_directories(environ: Mapping[str, str], tool: str, name: str) -> Iterator[Path]:
    if os.name == "nt":
        yield Path(environ.get("PROGRAMDATA", "C:/ProgramData")) / tool / name
        return
    yield Path("/etc") / tool / name
    for directory in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)):
        yield Path(directory) / tool / name


def _user_directory(environ: Mapping[str, str], home: Path) -> Path:
    if os.name == "nt":
        return Path(environ.get("APPDATA") or home / "AppData/Roaming")
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config")


def _existing(paths: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        # Not `path.is_file()`, which raises where a directory may not be read: HOME=/root for a user who is not root.
        if path not in seen and os.path.isfile(path):
            seen.add(path)
            yield path


def _read_ini(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"), source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        logger.warning("Reading pip's configuration %s failed (%s); building without it.", path, error)
        return {}
    values: dict[str, str] = {}
    for section in _PIP_SECTIONS:
        if parser.has_section(section):
            values.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    return values


def _merged_toml(paths: Iterable[Path]) -> ToolOptions:
    values: dict[str, Any] = {}
    files: list[Path] = []
    for path in _existing(paths):
        found = _read_toml(path)
        if found:
            values.update(found)
            files.append(path)
    return ToolOptions(values, tuple(files))


def _read_toml(path: Path) -> dict[str, Any]:
    parser = _toml_parser()
    if parser is None:
        logger.warning("Not reading %s: this Python has no TOML parser yet.", path)
        return {}
    try:
        values = parser.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        logger.warning("Reading the configuration %s failed (%s); building without it.", path, error)
        return {}
    return {str(key): value for key, value in values.items()}


def _toml_parser() -> Any:  # Any: two modules of the same interface, neither of which must exist
    """tomllib (3.11+) or tomli. Looked up when needed: the bootstrap that fetches tomli itself comes through here."""
    for name in ("tomllib", "tomli"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
