"""What the panel asks of the server: lists of 200 environments and 20 workers, a build that talks, and nothing.

Run: ``nox -s bench -- panel [--rounds 3]``. The API runs in a process of its own (panel_server.py), with real workers,
and encodes events on its event loop as ComfyUI does. Targets, on an idle machine:

- each list answered in under 50 ms (median, from the first byte sent to the last received, on one connection);
- while a build writes 1,000 lines a second, which a page follows, and 200 things change a second, nothing holds the
  event loop for over 10 ms. It is judged by the time of the processor that the longest of its callbacks took. How late
  the loop was for what was due every millisecond stands beside: that counts what the rest of the machine did as well;
- with a page connected and nothing going on, less than 0.1 s of the processor a minute.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from host.events import EventStream

TARGET_LIST_MS = 50.0
TARGET_HELD_MS = 10.0
TARGET_IDLE_CPU_S = 0.1
LISTS = ("/status", "/environments", "/workers", "/packs")
BUILD_S = 10.0
LINES_PER_S = 1000
CHANGES_PER_S = 200
PANEL_SERVER = Path(__file__).with_name("panel_server.py")


class Server:
    """The process, as a context manager."""

    def __init__(self, environments: int, workers: int) -> None:
        self._command = [
            *(sys.executable, str(PANEL_SERVER)),
            *("--environments", str(environments), "--workers", str(workers)),
        ]

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = str(self._answer()["url"])
        self.connection = http.client.HTTPConnection(urlsplit(self.url).netloc)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
        self._process.communicate("quit\n", timeout=60)

    def ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def request(self, method: str, path: str, body: Any = None) -> tuple[float, Any]:
        """Seconds, and the answer's JSON."""
        content = json.dumps(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        began = time.perf_counter()
        self.connection.request(method, "/comfy-env" + path, content, headers)
        answer = self.connection.getresponse()
        received = answer.read()
        duration_s = time.perf_counter() - began
        if answer.status != 200:
            raise SystemExit(f"{method} {path} answered {answer.status}: {received.decode()}")
        return duration_s, json.loads(received)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the server ended with {self._process.wait()}")
        return json.loads(line)


@dataclass(frozen=True)
class Finding:
    """One line of the table. `target`: not more than this."""

    what: str
    figure: float
    target: float
    unit: str
    beside: str = ""

    @property
    def is_held(self) -> bool:
        return self.figure < self.target

    def __str__(self) -> str:
        verdict = "held" if self.is_held else "MISSED"
        figure = f"{self.figure:.2f} {self.unit}"
        return f"{self.what:56} {figure:>10}   under {self.target:g} {self.unit}: {verdict:7} {self.beside}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=int, default=200)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--asks", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3, help="of the build that talks")
    parser.add_argument(
        "--idle-s", type=float, default=60.0, help="a minute: idle workers are looked after once in it"
    )
    options = parser.parse_args()
    with Server(options.environments, options.workers) as server:
        findings = [
            *lists(server, options.asks),
            talking(server, options.rounds),
            idle(server, options.idle_s),
        ]
    print(f"{options.environments} environments, {options.workers} workers")
    for finding in findings:
        print(finding)
    return 0 if all(finding.is_held for finding in findings) else 1


def lists(server: Server, asks: int) -> list[Finding]:
    findings = []
    for path in LISTS:
        first_s, answer = server.request("GET", path)
        before_s = server.ask("cpu")["cpu_s"]
        times_ms = []
        for _ in range(asks):
            times_ms.append(1e3 * server.request("GET", path)[0])
            time.sleep(0.05)  # as from different pages, not one after the other
        cpu_ms = 1e3 * (server.ask("cpu")["cpu_s"] - before_s) / asks
        beside = (
            f"{cpu_ms:.1f} ms of the processor; first {1e3 * first_s:.0f} ms, worst {max(times_ms):.0f} ms, "
            f"{len(json.dumps(answer)) // 1000} kB"
        )
        findings.append(Finding(f"GET {path}", statistics.median(times_ms), TARGET_LIST_MS, "ms", beside))
    return findings


def talking(server: Server, rounds: int) -> Finding:
    """The best of several: what else the machine does only adds."""
    quiet = server.ask(f"build {BUILD_S} 0")
    measured = [_talk(server) for _ in range(rounds)]
    best = min(measured, key=lambda one: one["held_cpu_ms"])
    beside = (
        f"{best['lines']:.0f} lines heard, {best['cpu_percent']:.0f} % of a core; late by at most "
        f"{best['max_ms']:.1f} ms ({quiet['max_ms']:.1f} when nothing happens), in 999 of 1000 cases by "
        f"{best['p999_ms']:.1f} ms ({quiet['p999_ms']:.1f})"
    )
    what = f"{LINES_PER_S} lines, {CHANGES_PER_S} changes a second: loop held"
    return Finding(what, best["held_cpu_ms"], TARGET_HELD_MS, "ms", beside)


def _talk(server: Server) -> dict[str, float]:
    with EventStream(server.url) as page:
        sites = server.request("GET", "/status")[1]["sites"]
        environment = next(site["environment_id"] for site in sites if site["id"] == "talker")
        server.request("POST", f"/environments/{environment}/log/follow", {"client_id": page.client_id})
        before_s = server.ask("cpu")["cpu_s"]
        lateness: dict[str, float] = server.ask(f"build {BUILD_S} {CHANGES_PER_S}")
        cpu_percent = 100 * (server.ask("cpu")["cpu_s"] - before_s) / BUILD_S
        page.wait_for(lambda event: "# done after" in event.data.get("text", ""), 30)
        lines = sum(event.data["text"].count("\n") for event in page.received("comfy-env.log"))
    return {**lateness, "lines": lines, "cpu_percent": cpu_percent}


def idle(server: Server, idle_s: float) -> Finding:
    with EventStream(server.url):
        time.sleep(2.0)  # what the page's coming made
        before = server.ask("cpu")
        time.sleep(idle_s)
        after = server.ask("cpu")
    used_s = (after["cpu_s"] - before["cpu_s"]) * 60 / idle_s
    beside = f"of {len(after['threads'])} threads"
    return Finding(
        "nothing happens, a page is connected: in a minute", used_s, TARGET_IDLE_CPU_S, "s", beside
    )


if __name__ == "__main__":
    sys.exit(main())
