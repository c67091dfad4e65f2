"""A ComfyUI user's directory: our pack and others in ``custom_nodes``, copied the way a downloaded zip lies there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKS = REPOSITORY / "tests" / "packs"
OUR_NAME = "comfy-env-manager"
FOLDERS = ("custom_nodes", "input", "output", "temp", "user", "models")
NEVER_SHIPPED = {".git", ".nox", ".venv", "build", "dist", "node_modules"}


@dataclass(frozen=True)
class Place:
    """Where a ComfyUI user keeps things: a base directory, and the environment variables that name the rest."""

    base: Path
    environment: Mapping[str, str]

    @property
    def store(self) -> Path:
        """Where the environments go."""
        return Path(self.environment["COMFY_ENV_ROOT"])


def make_place(root: Path, packs: Iterable[str]) -> Place:
    """A fresh user: us and the named example packs, no environment built yet."""
    base = make_base(root / "base", [PACKS / name for name in packs])
    return Place(base, {"COMFY_ENV_ROOT": str(root / "store")})


def make_base(directory: Path, packs: Iterable[Path] = (), *, with_us: bool = True) -> Path:
    """Lay out ``directory`` for ``--base-directory``; what an earlier run left in it stays, the packs are renewed.

    Modification times are kept by the copies: they are part of what tells a changed pack from an unchanged one.
    """
    for folder in FOLDERS:
        (directory / folder).mkdir(parents=True, exist_ok=True)
    custom_nodes = directory / "custom_nodes"
    if with_us:
        renew(custom_nodes / OUR_NAME, REPOSITORY, shipped_files())
    for pack in packs:
        install_pack(directory, pack)
    return directory


def install_pack(base: Path, pack: Path, name: str | None = None) -> Path:
    """Copy the pack at ``pack`` into the base's ``custom_nodes`` and return where it is now."""
    target = base / "custom_nodes" / (name or pack.name)
    files = (path.relative_to(pack) for path in pack.rglob("*") if path.is_file())
    renew(target, pack, (path for path in files if "__pycache__" not in path.parts))
    return target


def shipped_files() -> Iterator[Path]:
    """The files a user would get, relative to the repository: what git tracks or would track, else all but builds."""
    if (REPOSITORY / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True).stdout.decode()
        names = (Path(name) for name in listing.split("\0") if name)
    else:
        names = (path.relative_to(REPOSITORY) for path in REPOSITORY.rglob("*"))
    for name in names:
        if (
            NEVER_SHIPPED.isdisjoint(name.parts)
            and "__pycache__" not in name.parts
            and (REPOSITORY / name).is_file()
        ):
            yield name


def renew(target: Path, source: Path, names: Iterable[Path]) -> None:
    """Make ``target`` hold exactly ``names`` from ``source``, except links to environments and what lies in them."""
    wanted = set(names)
    if target.is_dir():
        for path in sorted(target.rglob("*"), reverse=True):
            relative = path.relative_to(target)
            if any(part.startswith("_env_") for part in relative.parts) or relative in wanted:
                continue
            if path.is_file() or path.is_symlink():
                path.unlink()
    for name in wanted:
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, destination)
