"""Plans, reports and servers for the tests of the engines."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import io
import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.report import Phase, QuietReport
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import HostNeed, parse_env
from comfy_env_core.discovery import HostUse


def make_plan(directory: Path, text: str, settings: UserSettings | None = None) -> BuildPlan:
    """The plan of a file with `text` in `directory`, for this machine and a host without torch. msgpack is in it."""
    path = directory / "comfy-env.toml"
    path.write_text(text, encoding="utf-8")
    return plan_build(
        parse_env(text.encode(), path),
        platform=Platform.current(),
        host=HostPython.current(),
        host_use=HostUse(need=HostNeed.NONE, imports_torch=False, evidence=()),
        comfyui_requirements=(),
        settings=settings or UserSettings(),
    )


class RecordingReport(QuietReport):
    """Remembers what it was told; `cancel_at` is asked at every check whether to cancel now."""

    def __init__(self, cancel_at: Callable[[RecordingReport], bool] = lambda report: False) -> None:
        self.phases: list[tuple[Phase, str]] = []
        self.counts: list[tuple[int, int]] = []
        self.lines: list[str] = []
        self.checks = 0
        self._cancel_at = cancel_at

    def phase(self, phase: Phase, text: str = "") -> None:
        self.phases.append((phase, text))

    def packages(self, done: int, total: int) -> None:
        self.counts.append((done, total))

    def log(self, line: str) -> None:
        self.lines.append(line)

    def check(self) -> None:
        self.checks += 1
        if self._cancel_at(self):
            raise BuildError(BuildCause.CANCELLED, "The build was cancelled.", "")


def wheel_bytes(name: str, version: str, members: Mapping[str, bytes]) -> bytes:
    """A pure wheel with these members beside its metadata."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **members,
    }
    digests = {path: hashlib.sha256(data).digest() for path, data in files.items()}
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(files[path])}\n"
        for path, digest in digests.items()
    ]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/RECORD", "".join([*rows, f"{info}/RECORD,,\n"]))
    return content.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class LoopbackIndex:
    """A package index on loopback. `files`: file name → content. `as_json`: PEP 691, otherwise HTML only.

    `requests` are the (path, Authorization header) pairs that were asked for.
    """

    def __init__(self, files: dict[str, bytes], *, as_json: bool = False, status: int = 200) -> None:
        self.files = files
        self.as_json = as_json
        self.status = status
        self.requests: list[tuple[str, str | None]] = []
        self.url = ""

    def answer(self, path: str) -> tuple[int, str, bytes]:
        if self.status != 200:
            return self.status, "text/plain", b"no"
        if path.startswith("/files/"):
            content = self.files.get(path.rpartition("/")[2])
            return (404, "text/plain", b"") if content is None else (200, "application/octet-stream", content)
        project = path.strip("/").rpartition("/")[2]
        names = [name for name in self.files if name.split("-")[0].lower().replace("_", "-") == project]
        if not names:
            return 404, "text/plain", b""
        if self.as_json:
            files = [
                {"filename": n, "url": f"../../files/{n}", "hashes": {"sha256": sha256(self.files[n])}}
                for n in names
            ]
            return 200, "application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode()
        links = "".join(f'<a href="../../files/{n}#sha256={sha256(self.files[n])}">{n}</a>' for n in names)
        return 200, "text/html", f"<!DOCTYPE html><body>{links}</body>".encode()


def index_of_needs(**needs: str) -> LoopbackIndex:
    """An index of pure wheels: name → what it requires. msgpack is there because every environment has it."""
    files = {}
    for name, requires in {"msgpack": "", **needs}.items():
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
        text += f"Requires-Dist: {requires}\n" if requires else ""
        members = {f"{name}.py": b"", f"{name}-1.5.dist-info/METADATA": text.encode()}
        data = wheel_bytes(name, "1.5", members)
        files[f"{name}-1.5-py3-none-any.whl"] = data
    return LoopbackIndex(files)


class _IndexHandler(http.server.BaseHTTPRequestHandler):
    def __init__(self, index: LoopbackIndex, *args: object) -> None:
        self._index = index
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        self._index.requests.append((self.path, self.headers.get("Authorization")))
        status, kind, body = self._index.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 – the name is http.server's
        """Requests are not part of a test's output."""


@contextlib.contextmanager
def serving(index: LoopbackIndex) -> Iterator[LoopbackIndex]:
    """The index behind `index.url` while the block runs."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_IndexHandler, index))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never answers; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
