"""Where Python interpreters live, tool by tool. Looks at directories only; `interpreters` runs what is found."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.processes import ask

_PYTHON_NAME = re.compile(r"python3\.\d+(\.exe)?")
_CONDA_ROOTS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".conda")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Something that may be a Python. `explicit`: the user named it; `environment`: what to run it with."""

    path: Path
    where: str
    explicit: bool = False
    environment: Mapping[str, str] | None = dataclasses.field(default=None, repr=False)


def candidates(settings: UserSettings, managed_dir: Path) -> tuple[Candidate, ...]:
    """Every place that exists, best first: the user's choice, ComfyUI's base, tools' own directories, PATH, conda.

    `managed_dir`: where we let uv install interpreters. A portable ComfyUI's embedded Python comes last: it has neither
    headers nor all of the standard library.
    """
    environ, home = settings.environ, settings.home
    clean = {
        name: value for name, value in environ.items() if not name.startswith(("PYTHON", "PYENV_VERSION"))
    }
    found: list[tuple[str, Iterable[Path]]] = [
        ("installed by us", _versions(managed_dir)),
        ("uv", _versions(_uv_directory(environ, home))),
        ("pyenv", _versions(Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions")),
        ("pyenv", _versions(home / ".pyenv/pyenv-win/versions")),
        ("py launcher", _launcher()),
        ("Python.org", _versions(Path("/Library/Frameworks/Python.framework/Versions"))),
        ("Homebrew", _homebrew()),
        ("system", _in_directories([Path("/usr/bin"), Path("/usr/local/bin")])),
        ("PATH", _in_directories(_path_directories(environ))),
        ("/opt/python", _versions(Path("/opt/python"))),
        ("conda", _conda(environ, home)),
    ]
    first = (
        [Candidate(settings.python_path, "COMFY_ENV_PYTHON", explicit=True)] if settings.python_path else []
    )
    host = Candidate(Path(getattr(sys, "_base_executable", None) or sys.executable), "ComfyUI's own Python")
    portable = any(host.path.parent.glob("python3*._pth"))
    rest = [Candidate(path, where) for where, paths in found for path in paths]
    ordered = [*first, *rest, host] if portable else [*first, host, *rest]
    return tuple(dataclasses.replace(candidate, environment=clean) for candidate in ordered)


def _versions(directory: Path) -> Iterator[Path]:
    """The interpreters of a directory that holds one installation per version, the newest first."""
    try:
        installations = [entry for entry in directory.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except OSError:
        return
    for installation in sorted(installations, key=_version_key, reverse=True):
        for name in ("bin/python3", "bin/python", "python.exe"):
            if os.path.isfile(installation / name):
                yield installation / name
                break


def _entries(directory: Path) -> list[Path]:
    """Sorted; none where the directory is missing or may not be read."""
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _version_key(directory: Path) -> tuple[int, ...]:
    match = re.search(r"\d+(?:\.\d+)+", directory.name)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _uv_directory(environ: Mapping[str, str], home: Path) -> Path:
    if environ.get("UV_PYTHON_INSTALL_DIR"):
        return Path(environ["UV_PYTHON_INSTALL_DIR"])
    if os.name == "nt":
        return Path(environ.get("APPDATA") or home / "AppData/Roaming") / "uv/python"
    return Path(environ.get("XDG_DATA_HOME") or home / ".local/share") / "uv/python"


def _path_directories(environ: Mapping[str, str]) -> list[Path]:
    """PATH without pyenv's and asdf's shims, which answer to every version and fail for most."""
    directories = [Path(text) for text in environ.get("PATH", "").split(os.pathsep) if text]
    return [directory for directory in directories if directory.name != "shims"]


def _in_directories(directories: Iterable[Path]) -> Iterator[Path]:
    for directory in directories:
        try:
            names = sorted(
                (e.name for e in directory.iterdir() if _PYTHON_NAME.fullmatch(e.name)),
                key=_minor,
                reverse=True,
            )
        except OSError:
            continue
        yield from (directory / name for name in names)
        if os.name == "nt" and (directory / "python.exe").is_file() and "WindowsApps" not in directory.parts:
            yield directory / "python.exe"


def _minor(name: str) -> int:
    match = re.search(r"3\.(\d+)", name)
    return int(match[1]) if match else -1


def _homebrew() -> Iterator[Path]:
    if sys.platform != "darwin":
        return
    for root in (Path("/opt/homebrew/opt"), Path("/usr/local/opt")):
        for formula in sorted(root.glob("python@3.*"), key=lambda path: _minor(path.name), reverse=True):
            yield from sorted((formula / "bin").glob("python3.[0-9]*"))[:1]


def _launcher() -> Iterator[Path]:
    """What the `py` launcher of Windows lists: the registry's installations (PEP 514)."""
    if os.name != "nt":
        return
    try:
        listed = ask(["py", "-0p"], timeout_s=10)
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in listed.stdout.decode("utf-8", "replace").splitlines():
        match = re.search(r"[A-Za-z]:\\.*python\.exe", line)
        if match:
            yield Path(match[0])


def _conda(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """conda's base installations and their environments; last, because people delete environments."""
    roots = [home / name for name in _CONDA_ROOTS] + [Path("/opt/conda")]
    if environ.get("CONDA_EXE"):
        roots.insert(0, Path(environ["CONDA_EXE"]).parent.parent)
    prefixes: list[Path] = []
    for root in roots:
        prefixes.append(root)
        prefixes += _entries(root / "envs")
    try:
        listed = (home / ".conda/environments.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        listed = []
    prefixes += [Path(line) for line in listed if line.strip()]
    for prefix in prefixes:
        python = prefix / ("python.exe" if os.name == "nt" else "bin/python")
        if os.path.isfile(python) and os.path.isdir(prefix / "conda-meta"):
            yield python
