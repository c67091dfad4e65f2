"""Run a ComfyUI server as its own process tree and talk to it over HTTP, as a browser would.

``start`` returns when the server answers; ``stop`` ends every process that the server started and says which of them
had to be ended by us, so that a test can insist on none.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from host.installation import STUBS, Installation, default_cache
from host.stub_wheels import write_stub_wheels

log = logging.getLogger(__name__)

Prompt = Mapping[str, Mapping[str, Any]]
"""A workflow in ComfyUI's API form: node id → ``{"class_type": …, "inputs": {…}}``."""

POLL_S = 0.1
STOP_GRACE_S = 10.0
INHERITED_AWAY = ("PYTHON", "VIRTUAL_ENV", "COMFY_ENV_", "NOX")
"""Variables of whoever runs the tests that a user's ComfyUI would not see."""


class ServerError(RuntimeError):
    """The server did not start, or refused a request; the message holds the end of its log or its answer."""


@dataclass(frozen=True)
class HttpAnswer:
    """One answer: status, body parsed as JSON where it is JSON, else text."""

    status: int
    body: Any


class ComfyUI:
    """One ComfyUI server. Owned by whoever made it, who must call ``stop`` (or use it as a context manager)."""

    def __init__(self, installation: Installation, log_path: Path) -> None:
        self.installation = installation
        self.log_path = log_path
        self.base_directory = Path()
        self.port = 0
        self.boot_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ComfyUI:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(
        self,
        base_directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        deadline_s: float = 180.0,
        port: int | None = None,
    ) -> ComfyUI:
        """Start on ``base_directory`` (see ``base.make_base``) and return self once ``/system_stats`` answers.

        ``environment`` adds to, and wins over, the caller's own. Raises ServerError when the process ends first or the
        deadline passes; nothing is left running then.
        """
        self.base_directory = base_directory
        self.port = free_port() if port is None else port
        command = [str(self.installation.python), str(self.installation.comfyui / "main.py"), "--cpu"]
        command += ["--base-directory", str(base_directory), "--port", str(self.port)]
        command += ["--disable-api-nodes", "--disable-auto-launch"]
        command += ["--database-url", "sqlite:///:memory:", *arguments]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with self.log_path.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.installation.comfyui,
                env=server_environment(environment or {}),
                start_new_session=True,
            )
        try:
            self._wait_until_up(deadline_s)
        except BaseException:
            self.stop()
            raise
        self.boot_s = time.monotonic() - started
        return self

    def stop(self) -> list[str]:
        """End the server as Ctrl-C would, then whatever it left; return the command lines that outlived it."""
        if self._process is None:
            return []
        family = self.children()
        self._interrupt()
        left = [
            process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]
        _, left = psutil.wait_procs(left, timeout=2.0)
        survivors = [_command_line(process) for process in left]
        for process in left:
            process.kill()
        self._process = None
        return survivors

    def kill(self) -> list[psutil.Process]:
        """SIGKILL the server alone, as the kernel would when memory runs out; return its children for inspection."""
        family = self.children()
        process = self._running()
        process.kill()
        process.wait()
        self._process = None
        return family

    def children(self) -> list[psutil.Process]:
        """Every process under the server now, however deep."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def get(self, path: str, timeout_s: float = 60.0) -> Any:
        """The JSON (or text) at ``path``. Raises ServerError on any status but 200."""
        return self._expect_success("GET", path, self.request("GET", path, timeout_s=timeout_s))

    def post(self, path: str, body: Any, timeout_s: float = 60.0) -> Any:
        """Post ``body`` as JSON and return the answer. Raises ServerError on an error status."""
        return self._expect_success("POST", path, self.request("POST", path, body, timeout_s=timeout_s))

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> HttpAnswer:
        """One request whose refusal is an answer too: error statuses are returned, not raised."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                return HttpAnswer(response.status, _parsed(response.read()))
        except urllib.error.HTTPError as refused:
            return HttpAnswer(refused.code, _parsed(refused.read()))

    def queue(self, prompt: Prompt, timeout_s: float = 120.0, client_id: str | None = None) -> dict[str, Any]:
        """Run ``prompt`` and return its history entry (``status``, ``outputs``) once it succeeded or failed."""
        return self.wait_for_prompt(self.submit(prompt, client_id), timeout_s)

    def submit(self, prompt: Prompt, client_id: str | None = None) -> str:
        """Queue ``prompt`` and return its id without waiting. Raises ServerError with the node errors if refused."""
        body: dict[str, Any] = {"prompt": prompt}
        if client_id is not None:
            body["client_id"] = client_id
        return str(self.post("/prompt", body)["prompt_id"])

    def wait_for_prompt(self, prompt_id: str, timeout_s: float = 120.0) -> dict[str, Any]:
        """The history entry of a queued prompt."""
        found: dict[str, Any] = {}

        def finished() -> bool:
            found.update(self.get(f"/history/{prompt_id}"))
            return prompt_id in found

        self.wait_until(finished, timeout_s, f"prompt {prompt_id} to finish")
        entry: dict[str, Any] = found[prompt_id]
        return entry

    def wait_for_nodes(self, *names: str, timeout_s: float = 300.0) -> None:
        """Return when every named node is in ``/object_info``, as a page that asks would see it."""
        missing = set(names)

        def present() -> bool:
            missing.difference_update([name for name in missing if name in self.get(f"/object_info/{name}")])
            return not missing

        self.wait_until(present, timeout_s, f"nodes {sorted(missing)} to appear", poll_s=0.5)

    def sites(self) -> dict[str, dict[str, Any]]:
        """``GET /comfy-env/status``: site id → its record (``state``, ``failure``, …)."""
        return {site["id"]: site for site in self.get("/comfy-env/status")["sites"]}

    def wait_for_sites(self, timeout_s: float = 600.0) -> dict[str, dict[str, Any]]:
        """``sites()`` once every one of them is ready or failed."""
        found: dict[str, dict[str, Any]] = {}

        def settled() -> bool:
            found.update(self.sites())
            return all(site["state"] in ("ready", "failed") for site in found.values())

        self.wait_until(settled, timeout_s, "every site to be ready or failed", poll_s=0.5)
        return found

    def wait_until(
        self, condition: Callable[[], bool], timeout_s: float, what: str, poll_s: float = POLL_S
    ) -> None:
        """Poll ``condition``; raise ServerError with the log's end when the server dies or the time is over."""
        deadline = time.monotonic() + timeout_s
        pause = threading.Event()
        while not condition():
            code = self._running().poll()
            if code is not None:
                raise ServerError(
                    f"Waiting for {what}: ComfyUI ended with exit code {code}.\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise ServerError(f"Waited {timeout_s:.0f} s for {what} in vain.\n{self.log_tail()}")
            pause.wait(poll_s)

    def log(self) -> str:
        """Everything the server printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def log_tail(self, lines: int = 40) -> str:
        tail = self.log().splitlines()[-lines:]
        return "\n".join([f"--- end of {self.log_path} ---", *tail])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError("This ComfyUI is not running: call start() first.")
        return self._process

    def _wait_until_up(self, deadline_s: float) -> None:
        def answers() -> bool:
            try:
                return self.request("GET", "/system_stats", timeout_s=5.0).status == 200
            except OSError:
                return False

        self.wait_until(answers, deadline_s, f"ComfyUI to answer at {self.url}")

    def _interrupt(self) -> None:
        process = self._running()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            log.warning(
                "ComfyUI (pid %d) did not end within %.0f s of Ctrl-C: killing it", process.pid, STOP_GRACE_S
            )
            process.kill()
            process.wait()

    def _expect_success(self, method: str, path: str, answer: HttpAnswer) -> Any:
        if answer.status >= 400:
            raise ServerError(f"{method} {path} answered {answer.status}: {answer.body!r}")
        return answer.body


def server_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment as a user's shell would have it, plus the import stand-ins, plus ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED_AWAY)}
    wheels = write_stub_wheels(default_cache() / "stub-wheels")
    links = " ".join(filter(None, [os.environ.get("PIP_FIND_LINKS"), str(wheels)]))
    ours = {"PYTHONPATH": str(STUBS), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "PIP_FIND_LINKS": links}
    return {**kept, **ours, **extra}


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _parsed(raw: bytes) -> Any:
    text = raw.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _command_line(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return f"{process.pid}: (ended)"
