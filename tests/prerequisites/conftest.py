"""A forge of git repositories on this disk, and a Comfy registry on loopback."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.building.report import QuietReport, Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import parse_root
from comfy_env_core.prerequisites.packs.addresses import Addresses
from comfy_env_core.prerequisites.packs.installing import Outcome, Wanted, fetch_packs
from comfy_env_core.prerequisites.packs.sources import PackSources

ROOT_FILE_NAME = "comfy-env-root.toml"


class Forge:
    """Repositories as GitHub has them: `root`/owner/name, reached as https://github.com/owner/name."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def address(self) -> str:
        return self.root.as_uri()

    def git(self, directory: Path, *arguments: str) -> str:
        """What a git command of a developer's says."""
        identity = {
            f"GIT_{who}_{what}": "dev" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return subprocess.run(
            ("git", "-c", "protocol.file.allow=always", "-C", str(directory), *arguments),
            env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def publish(self, name: str, files: Mapping[str, str] | None = None, *, tag: str | None = None) -> str:
        """Commits these files on top of what owner/name has, makes it if need be; returns the commit."""
        directory = self.root / name
        if not directory.exists():
            directory.mkdir(parents=True)
            self.git(directory, "init", "--quiet", "--initial-branch=main")
            # What a server allows that GitHub is.
            self.git(directory, "config", "uploadpack.allowAnySHA1InWant", "true")
        for path, content in (files or {"__init__.py": "NODE_CLASS_MAPPINGS = {}\n"}).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(content)
        self.git(directory, "add", "-A")
        self.git(directory, "commit", "--quiet", "--allow-empty", "-m", "change")
        if tag is not None:
            self.git(directory, "tag", "-a", tag, "-m", tag)
        return self.git(directory, "rev-parse", "HEAD")


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    (tmp_path / "forge").mkdir()
    return Forge(tmp_path / "forge")


@pytest.fixture
def custom_nodes(tmp_path: Path) -> Path:
    directory = tmp_path / "custom nodes é"
    directory.mkdir()
    return directory


Fetch = Callable[..., list[Outcome]]


@pytest.fixture
def settings(tmp_path: Path) -> UserSettings:
    return UserSettings.gather({}, tmp_path)


@pytest.fixture
def fetch(forge: Forge, custom_nodes: Path, settings: UserSettings) -> Fetch:
    """Fetches what the lines of a [node_reqs] section ask for, on behalf of a pack called "asking"."""

    def fetch(
        lines: str,
        *,
        github: str | None = None,
        registry: str = "http://127.0.0.1:9",
        report: Report | None = None,
    ) -> list[Outcome]:
        text = f"[node_reqs]\n{lines}\n".encode()
        requirements = parse_root(text, Path(ROOT_FILE_NAME)).prerequisites.node_reqs
        addresses = Addresses((github or forge.address).rstrip("/") + "/", registry)
        fetch_one = PackSources(addresses, settings, report or QuietReport()).fetch
        return list(
            fetch_packs(
                [Wanted(one, "asking") for one in requirements], custom_nodes, fetch_one, lambda outcome: None
            )
        )

    return fetch


class _QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def served_forge(forge: Forge) -> Iterator[str]:
    """The forge over plain HTTP, by a server that knows nothing of git."""
    handler = functools.partial(_QuietFiles, directory=str(forge.root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class LoopbackRegistry:
    """Answers as api.comfy.org does for one pack. `answer` and `archive` may be changed; `asked` are the paths."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {
            "version": "1.2.0",
            "status": "NodeVersionStatusActive",
            "deprecated": False,
        }
        self.archive = zipped({"__init__.py": "NODE_CLASS_MAPPINGS = {}\n", "web/x.js": ""})
        self.asked: list[str] = []
        self.address = ""

    def reply(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if path.startswith("/nodes/essentials/install"):
            return 200, json.dumps({"downloadUrl": f"{self.address}/essentials.zip", **self.answer}).encode()
        return (200, self.archive) if path == "/essentials.zip" else (404, b'{"message": "not found"}')


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def registry() -> Iterator[LoopbackRegistry]:
    played = LoopbackRegistry()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = played.reply(self.path)
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        played.address = f"http://127.0.0.1:{server.server_port}"
        yield played
        server.shutdown()
