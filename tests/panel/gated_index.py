"""A package index whose downloads wait for the test: a build is surely under way for as long as the test looks."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
from collections.abc import Iterator

from building.engines.samples import sha256, wheel_bytes
from building.faulty_servers import http_server

VERSION = "1.5"
#: Longer than any test; a server that is stopped must not wait for a client that has gone.
_PATIENCE_S = 300.0


class GatedIndex:
    """Has every project that begins with "panel-", in one version; `close` holds back the files of one."""

    def __init__(self) -> None:
        self.url = ""
        self._gates: dict[str, threading.Event] = {}

    def close(self, project: str) -> None:
        self._gates[project] = threading.Event()

    def open(self, project: str) -> None:
        """Lets go those who wait, and all who come."""
        gate = self._gates.pop(project, None)
        if gate is not None:
            gate.set()

    def open_all(self) -> None:
        for project in list(self._gates):
            self.open(project)

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        kind, _, name = request.path.strip("/").rpartition("/")
        project = name.split("-")[0].replace("_", "-") if kind == "files" else name
        if not project.startswith("panel-"):
            _send(request, 404, "text/plain", b"")
        elif kind != "files":
            _send(request, 200, "application/vnd.pypi.simple.v1+json", _project_page(project))
        elif name.endswith(".metadata"):
            _send(request, 200, "text/plain", _metadata(project))
        else:
            gate = self._gates.get(project)
            if gate is None or gate.wait(_PATIENCE_S):
                _send(request, 200, "application/octet-stream", _wheel(project))


@contextlib.contextmanager
def serving_gated_index() -> Iterator[GatedIndex]:
    index = GatedIndex()
    with http_server(index.answer) as url:
        index.url = f"{url}/simple"
        try:
            yield index
        finally:
            index.open_all()


def _project_page(project: str) -> bytes:
    filename = f"{project.replace('-', '_')}-{VERSION}-py3-none-any.whl"
    file = {
        "filename": filename,
        "url": f"/files/{filename}",
        "hashes": {"sha256": sha256(_wheel(project))},
        "core-metadata": {"sha256": sha256(_metadata(project))},
    }
    page = {"meta": {"api-version": "1.1"}, "name": project, "versions": [VERSION], "files": [file]}
    return json.dumps(page).encode()


def _metadata(project: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {project}\nVersion: {VERSION}\n".encode()


@functools.cache  # a wheel made anew has other times in it, and another checksum
def _wheel(project: str) -> bytes:
    name = project.replace("-", "_")
    return wheel_bytes(name, VERSION, {f"{name}.py": f"project = {project!r}\n".encode()})


def _send(request: http.server.BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
