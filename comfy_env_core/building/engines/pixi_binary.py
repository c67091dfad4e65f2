"""The pixi program: where it may be, which version it is, and our own pinned download of it."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.building.fetching import Fetcher, NotThere
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store
from comfy_env_core.processes import ask, clean_environment

PINNED_VERSION = "0.75.0"
OLDEST_VERSION = (0, 50)  # `dependency-overrides` came with it
RICH_PLATFORMS_VERSION = (0, 71)  # `platforms = [{ platform = …, glibc = … }]`
RELEASES_URL = "https://github.com/prefix-dev/pixi/releases/download"
_NAME = "pixi.exe" if os.name == "nt" else "pixi"
_VERSION_TIMEOUT_S = 10.0


@dataclasses.dataclass(frozen=True)
class Archive:
    """One release file and the sha256 it must have."""

    filename: str
    sha256: str


#: Platform name → the release archive of `PINNED_VERSION`. musl on Linux: that build runs on every distribution.
ARCHIVES: Mapping[str, Archive] = {
    "linux-64": Archive(
        "pixi-x86_64-unknown-linux-musl.tar.gz",
        "bcd825d62905c29b3c754b71f9cdc9d6f119454398f58330f111a7b6a0de0a3f",
    ),
    "linux-aarch64": Archive(
        "pixi-aarch64-unknown-linux-musl.tar.gz",
        "6476588859faa7232def49ff590f199390bd93fae3826617596befc52382724f",
    ),
    "osx-64": Archive(
        "pixi-x86_64-apple-darwin.tar.gz",
        "f129e890366ad5502304c8f863cc5585d82143b64731f36bcd1283a27781097e",
    ),
    "osx-arm64": Archive(
        "pixi-aarch64-apple-darwin.tar.gz",
        "52a43f9268f3accb7155cf229937f2f5333559b1333615d610362c6151fded66",
    ),
    "win-64": Archive(
        "pixi-x86_64-pc-windows-msvc.zip",
        "0c478f9efcb0f8ba984b21c3fa9f484a3d098fc9a46be896f0ac260939ddeaa9",
    ),
}


@dataclasses.dataclass(frozen=True)
class PixiBinary:
    """A pixi that ran and told its version ("0.75.0")."""

    path: Path
    version: str

    @property
    def release(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".")[:2])

    @property
    def is_recent_enough(self) -> bool:
        return self.release >= OLDEST_VERSION

    @property
    def reads_rich_platforms(self) -> bool:
        return self.release >= RICH_PLATFORMS_VERSION


def downloaded_path(store: Store) -> Path:
    """Where our own copy lives; the version is in the path, so that an update of ours never runs an older one."""
    return store.engines_dir / f"pixi-{PINNED_VERSION}" / _NAME


def places(store: Store, settings: UserSettings) -> Iterator[Path]:
    """Where a pixi may be, in the order of preference: the user's word, PATH, pixi's own home, our download."""
    if settings.pixi_path:
        yield settings.pixi_path
    on_path = shutil.which("pixi", path=settings.environ.get("PATH", ""))
    if on_path:
        yield Path(on_path)
    yield Path(settings.environ.get("PIXI_HOME") or settings.home / ".pixi") / "bin" / _NAME
    yield downloaded_path(store)


def find_pixi(store: Store, settings: UserSettings, log: Callable[[str], None]) -> PixiBinary | None:
    """The first pixi on this machine that runs and is recent enough.

    Raises BuildError(CONFIG) for a COMFY_ENV_PIXI that is none. `log` is told what was found, and why others were
    not used.
    """
    for path in places(store, settings):
        is_demanded = path == settings.pixi_path
        if not os.path.isfile(path) and not is_demanded:
            continue
        binary = ask_version(path, settings.environ)
        if isinstance(binary, PixiBinary) and binary.is_recent_enough:
            log(f"found pixi {binary.version} at {path}")
            return binary
        reason = binary if isinstance(binary, str) else f"{path} is pixi {binary.version}, older than 0.50"
        if is_demanded:
            raise BuildError(
                BuildCause.CONFIG, f"COMFY_ENV_PIXI cannot be used: {reason}.", "Correct it or remove it."
            )
        log(f"not used: {reason}")
    return None


def ask_version(path: Path, environ: Mapping[str, str]) -> PixiBinary | str:
    """The pixi at `path`, or the reason why it is none."""
    try:
        env = clean_environment(environ, {"NO_COLOR": "1"})
        completed = ask([str(path), "--version"], timeout_s=_VERSION_TIMEOUT_S, env=env)
    except subprocess.TimeoutExpired:
        return f"{path} gave no answer to --version within {_VERSION_TIMEOUT_S:g} s"
    except OSError as error:
        return f"{path} does not run: {error.strerror or error}"
    match = re.search(r"\bpixi (\d+\.\d+\.\d+)", completed.stdout.decode("utf-8", "replace"))
    if completed.returncode != 0 or match is None:
        return f"{path} is no working pixi (exit code {completed.returncode})"
    return PixiBinary(path, match[1])


def archive_url(settings: UserSettings, archive: Archive) -> str:
    """The download address; `COMFY_ENV_PIXI_MIRROR` stands for the directory that holds `v<version>/`."""
    base = (settings.pixi_mirror or RELEASES_URL).rstrip("/")
    return f"{base}/v{PINNED_VERSION}/{archive.filename}"


def download(
    store: Store,
    settings: UserSettings,
    platform: Platform,
    fetcher: Fetcher,
    archives: Mapping[str, Archive] = ARCHIVES,
) -> Path:
    """Our own copy, downloaded and checked; it appears in one rename. Raises BuildError (NETWORK, DISK_FULL, …)."""
    target = downloaded_path(store)
    archive = archives[platform.name]
    url = archive_url(settings, archive)
    try:
        store.engines_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store.engines_dir, prefix=".pixi.") as scratch:
            packed = Path(scratch) / archive.filename
            fetcher.download(url, packed, archive.sha256)
            program = _unpacked(packed, Path(scratch))
            program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
            target.parent.mkdir(exist_ok=True)
            os.replace(program, target)
    except NotThere as error:
        raise BuildError(
            BuildCause.NETWORK,
            f"Downloading pixi {PINNED_VERSION} failed: {error} is not there.",
            "Correct COMFY_ENV_PIXI_MIRROR, or install pixi yourself.",
        ) from error
    except OSError as error:
        raise disk_error(error, "Installing pixi", target) from error
    return target


def _unpacked(packed: Path, directory: Path) -> Path:
    """The program out of the release archive. Only that one member is taken, whatever else is inside."""
    program = directory / f"unpacked-{_NAME}"
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as archive:
            member = next((name for name in archive.namelist() if Path(name).name == _NAME), None)
            content = archive.read(member) if member else None
    else:
        with tarfile.open(packed) as tar:
            entry = next((m for m in tar.getmembers() if m.isfile() and Path(m.name).name == _NAME), None)
            stream = tar.extractfile(entry) if entry else None
            content = stream.read() if stream else None
    if content is None:
        raise BuildError(
            BuildCause.INTERNAL,
            f"Unpacking {packed.name!r} failed: there is no {_NAME!r} in it.",
            "Please report it.",
        )
    program.write_bytes(content)
    return program
