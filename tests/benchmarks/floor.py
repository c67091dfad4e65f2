"""What the machine itself needs for the same work: the floor that no contestant can be below.

usage: python -m benchmarks.floor [--mb 128] [--calls 300]    Prints one JSON line.

The keys are those of the contestants. cold_s: ``python -c "import torch"`` of the same environment. small_us: 64 bytes
there and back over a socket pair between two bare processes. in_fresh: one copy into warm memory, then the sum, in this
process; in_same: the sum alone; out: one copy; image: one copy.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from types import TracebackType

import torch

from benchmarks.measuring import Figures, median_each_s, median_s, print_figures, timed_s
from benchmarks.ours import IMAGE_CALLS, LARGE_CALLS, measure_in_process

PING = b"x" * 64
PONG = """
import socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
while True:
    data = sock.recv(64)
    if not data:
        break
    sock.sendall(data)
"""


def import_torch_s() -> float:
    """A fresh interpreter of this environment that imports torch and ends."""
    return timed_s(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True))


class SocketPair:
    """Two bare processes, no threads, no frames: 64 bytes there and back."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        command = [sys.executable, "-c", PONG, str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def __enter__(self) -> SocketPair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()  # its death signal
        self._process.wait()

    def round_trip(self) -> None:
        """One message, and the same one back."""
        self._ours.sendall(PING)
        self._ours.recv(64)


def measure_socket_pair(calls: int) -> float:
    """The median round trip in seconds."""
    with SocketPair() as pair:
        pair.round_trip()
        return median_s(pair.round_trip, calls)


def measure(mb: int, calls: int) -> Figures:
    figures = {"cold_s": import_torch_s(), "small_us": 1e6 * measure_socket_pair(calls), "mb": mb}
    tensor = torch.rand(mb * 1024 * 1024 // 4)
    target = torch.empty_like(tensor)
    target.copy_(tensor)
    gigabytes = tensor.nbytes / 1e9

    def copy_and_sum(value: torch.Tensor) -> None:
        float(target.copy_(value).sum())

    figures["in_fresh_GBs"] = gigabytes / median_each_s(
        copy_and_sum, [tensor.clone() for _ in range(LARGE_CALLS)]
    )
    in_process = measure_in_process(tensor)
    figures["in_same_GBs"] = in_process["sum_GBs"]
    figures["out_GBs"] = in_process["memcpy_GBs"]
    image = torch.rand(1, 1024, 1024, 3)
    image_target = torch.empty_like(image)
    figures["image_1024_echo_ms"] = 1e3 * median_s(lambda: image_target.copy_(image), IMAGE_CALLS)
    return {**figures, **in_process}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=128)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    print_figures(measure(options.mb, options.calls))


if __name__ == "__main__":
    main()
