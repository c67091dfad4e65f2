"""What a call to a worker costs: latency beside a bare socket pair, an image there and back, memory, start-up.

Run as a program: `python tests/benchmarks/bench_wire.py`. Prints one line per figure. Figures of the same run can be
compared with each other; on a shared machine, of different runs only the ratio.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import numpy  # noqa: E402  # after the path, for the sake of the order below
from fakepack import RecordingServices, find_interpreter, node_pack, request, spec_for  # noqa: E402

from comfy_env_core.supervision import Worker  # noqa: E402

CALLS = 2000
IMAGES = 20

PONG = """
import socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
while True:
    data = sock.recv(64)
    if not data:
        break
    sock.sendall(data)
"""


def p50_us(action: Callable[[], Any], times: int) -> float:
    """The median duration in microseconds, after a warm-up."""
    for _ in range(times // 10):
        action()
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations) * 1e6


def bare_ping_pong_us() -> float:
    """Two processes that pass 64 bytes to and fro, without threads or frames."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", PONG, str(theirs.fileno())]
    with ours, theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()

        def ping() -> None:
            ours.sendall(b"x" * 64)
            ours.recv(64)

        result = p50_us(ping, CALLS)
        ours.close()
        process.wait()
    return result


def measure_calls(home: Path) -> None:
    pack = node_pack(home, "def run(self, value=None):\n    return value\n")
    worker = Worker(spec_for(pack), RecordingServices())
    worker.start()
    try:
        small = request(worker.spec.module_name, "run", 1)
        bare = bare_ping_pong_us()
        call = p50_us(lambda: worker.call("run", small).result(), CALLS)
        ping = p50_us(lambda: worker.call("ping").result(), CALLS)
        print(f"bare socket pair, p50:        {bare:8.0f} us")
        print(f"ping (I/O thread only), p50:  {ping:8.0f} us")
        print(f"small node call, p50:         {call:8.0f} us   {call / bare:.1f} times the bare pair")
        image = request(
            worker.spec.module_name, "run", numpy.random.default_rng(0).random((1024, 1024, 3), numpy.float32)
        )
        echo = p50_us(lambda: worker.call("run", image).result(), IMAGES)
        print(f"1024x1024x3 float32 echo, p50:{echo / 1000:8.1f} ms")
    finally:
        worker.stop()


def measure_bare_worker(home: Path) -> None:
    """Memory and start-up of a worker in an environment that has only msgpack."""
    interpreter = find_interpreter("3.12") or sys.executable
    environment = home / "bare"
    subprocess.run([interpreter, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", "msgpack"], check=True)
    spec = spec_for(node_pack(home, "def run(self):\n    return 1\n"), python=python)
    starts = []
    for _ in range(5):
        worker = Worker(spec, RecordingServices())
        start = time.perf_counter()
        worker.start()
        starts.append(time.perf_counter() - start)
        worker.call("run", request(spec.module_name, "run")).result()
        status = Path(f"/proc/{worker.pid}/status").read_text()
        worker.stop()
    rss_kb = int(status.partition("VmRSS:")[2].split()[0])
    bare = min(_bare_start_s(python) for _ in range(5))
    print(
        f"worker start, best of 5:      {min(starts) * 1000:8.0f} ms   (an empty interpreter: {bare * 1000:.0f} ms)"
    )
    print(
        f"worker memory without arrays: {rss_kb / 1024:8.1f} MB   (Python {worker.statistics.python_version})"
    )


def _bare_start_s(python: Path) -> float:
    start = time.perf_counter()
    subprocess.run([str(python), "-c", ""], check=True)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        measure_calls(Path(home))
        measure_bare_worker(Path(home))


if __name__ == "__main__":
    main()
