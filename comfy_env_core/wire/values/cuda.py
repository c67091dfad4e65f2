"""GPU tensors from process to process without a way through the host. Off unless COMFY_ENV_CUDA_IPC=1 in both.

The sender copies the tensor on the device, waits for the stream, and lends the copy; `extra["cuda"]` says where it is.
The receiver opens it, copies it once more into memory of its own, and lets go, which gives the sender's copy back. Two
copies at the speed of the device, and each has its reason. Without the first, the receiver would see what the sender
writes later; without the second, the tensor would be gone with a worker that is stopped while ComfyUI keeps the result,
and kernels still queued here might read memory the sender fills again.

Before the first use for a device, a small tensor of known bytes goes along with one that is staged
(`extra["cuda_probe"]`). The receiver opens it, compares it bit by bit, and writes the complement into it; when it comes
back, the sender looks for exactly that. So both processes have read and written the same memory, or the conversation
goes on through the host and says so once. A single tensor whose memory cannot be exported is staged as well.

Not verified: no GPU was there. The protocol runs in tests against a stand-in for the driver and for torch's device
functions; whether the driver's calls do on a real device what their reference says, and what they cost, is open. So is
`__cuda_array_interface__` over opened memory, and more than one device.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from comfy_env_core.wire.errors import DecodeError
from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.cuda_driver import HANDLE_BYTES, CudaDriver, CudaError
from comfy_env_core.wire.values.regions import Part
from comfy_env_core.wire.values.tensors import as_device_tensor

log = logging.getLogger("comfy-env.wire")

VARIABLE = "COMFY_ENV_CUDA_IPC"
# Below this the way through the host costs less than opening and closing.
SMALLEST_BYTES = 1 << 20
PROBE_BYTES = 4096
# An unanswered probe proves nothing: its message may have been dropped before it was read.
MOST_PROBES = 3

Lend = Callable[[object, str, int], int]


class Trust(enum.Enum):
    """What is known of a device."""

    UNKNOWN = "unknown"
    PROVEN = "proven"
    REFUSED = "refused"


class _Token:
    """Lent with a probe; gone when the receiver is done with it."""

    __slots__ = ("__weakref__",)


class _Trial:
    """One device's canary. `probe` and `token` belong to the one that is on its way."""

    def __init__(self) -> None:
        self.trust = Trust.UNKNOWN
        self.tries = 0
        self.sent = b""
        self.probe: Any = None
        self.token: weakref.ref[_Token] | None = None


class _DeviceBytes:
    """Device memory as `torch.as_tensor` takes it (CUDA Array Interface, version 2)."""

    def __init__(self, address: int, size_bytes: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size_bytes,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 2,
        }


class CudaSharing:
    """One for a conversation. Thread-safe. `peer` is its name in messages, `load` gives the driver."""

    def __init__(self, peer: str, load: Callable[[], CudaDriver] = CudaDriver.load) -> None:
        self._peer = peer
        self._load = load
        self._driver: CudaDriver | None = None
        self._lock = threading.Lock()
        self._trials: dict[int, _Trial] = {}

    @classmethod
    def of_environment(cls, peer: str) -> CudaSharing | None:
        """As the environment says; None if GPU tensors go through the host."""
        return cls(peer) if os.environ.get(VARIABLE) == "1" else None

    # -- sending -------------------------------------------------------------------------------------------

    def offer(self, part: Part, lend: Lend) -> bool:
        """Whether the receiver can fetch this tensor from the device, so that its bytes need not travel. `lend(value,
        type name, special methods)` gives the number of a lent object."""
        torch, tensor = libraries.loaded("torch"), part.keepalive
        if torch is None or tensor.device.type != "cuda" or tensor.is_quantized:
            return False
        if tensor.numel() * tensor.element_size() < SMALLEST_BYTES:
            return False
        with self._lock, _on_device(torch, tensor.device.index):
            trial = self._trials.setdefault(tensor.device.index, _Trial())
            try:
                if trial.trust is Trust.UNKNOWN:
                    self._try(torch, trial, part, lend)
                if trial.trust is not Trust.PROVEN:
                    return False
                self._open_driver().export(tensor.data_ptr())  # before a copy is made for nothing
                self._describe(torch, part, _copy(tensor), lend)
            except CudaError as error:
                log.debug("A tensor of %s is staged: %s", tensor.device, error)
                return False
        return True

    def _describe(self, torch: Any, part: Part, copy: Any, lend: Lend) -> None:
        place = self._place(torch, copy)
        part.keepalive = copy
        part.strides = None if copy.is_contiguous() else list(copy.stride())
        number = lend(copy, "torch.Tensor", 0)
        part.extra = {**(part.extra or {}), "cuda": [number, *place, copy.numel() * copy.element_size()]}

    def _place(self, torch: Any, tensor: Any) -> list[Any]:
        """[device, handle, offset] of a tensor's memory, whose bytes are final."""
        torch.cuda.current_stream(tensor.device.index).synchronize()
        driver = self._open_driver()
        return [driver.identify(tensor.device.index), *driver.export(tensor.data_ptr())]

    def _open_driver(self) -> CudaDriver:
        if self._driver is None:
            self._driver = self._load()
        return self._driver

    # -- the canary ----------------------------------------------------------------------------------------

    def _try(self, torch: Any, trial: _Trial, part: Part, lend: Lend) -> None:
        """Learn from the probe that came back, or send one along with this tensor."""
        if trial.token is not None and trial.token() is not None:
            return  # on its way
        if trial.token is not None:
            trial.token = None
            self._judge(trial, bytes(trial.probe.cpu().tolist()))
            trial.probe = None
        if trial.trust is not Trust.UNKNOWN:
            return
        try:
            self._send_probe(torch, trial, part, lend)
        except CudaError as error:
            self._refuse(trial, str(error))

    def _judge(self, trial: _Trial, came_back: bytes) -> None:
        if came_back == _complement(trial.sent):
            trial.trust = Trust.PROVEN
        elif came_back != trial.sent:
            self._refuse(trial, "a test tensor came back with other bytes than expected")
        elif trial.tries >= MOST_PROBES:
            self._refuse(trial, f"it left {MOST_PROBES} test tensors unanswered")

    def _refuse(self, trial: _Trial, reason: str) -> None:
        trial.trust = Trust.REFUSED
        log.warning("GPU tensors for %s go through the host, although %s=1: %s", self._peer, VARIABLE, reason)

    def _send_probe(self, torch: Any, trial: _Trial, part: Part, lend: Lend) -> None:
        trial.tries += 1
        trial.sent = os.urandom(PROBE_BYTES)
        flat = torch.frombuffer(bytearray(trial.sent), dtype=torch.uint8)
        trial.probe = flat.to(part.keepalive.device)
        token, place = _Token(), self._place(torch, trial.probe)
        part.extra = {**(part.extra or {}), "cuda_probe": [lend(token, "probe", 0), *place, trial.sent]}
        trial.token = weakref.ref(token)

    # -- receiving -----------------------------------------------------------------------------------------

    def take(self, entry: Sequence[Any]) -> Any:
        """The tensor of a table entry whose bytes are on a device; None if they came with the message. Raises
        DecodeError. Whoever calls holds what was lent with it until this returns."""
        extra = entry[6] or {}
        if "cuda_probe" in extra:
            self._answer(*extra["cuda_probe"])
        if "cuda" not in extra:
            return None
        torch: Any = libraries.obtain("torch")
        _, device, handle, offset, size_bytes = extra["cuda"]
        try:
            with self._opened(torch, device, handle, offset, size_bytes) as flat:
                own = _copy(flat)
                torch.cuda.current_stream(flat.device.index).synchronize()
        except (CudaError, RuntimeError) as error:
            raise DecodeError(
                f"A GPU tensor of {self._peer} cannot be read here: {error}. Without {VARIABLE} it would go through "
                "the host."
            ) from error
        return as_device_tensor(torch, own, [*entry[:6], {**extra, "device": str(own.device)}])

    def _answer(self, _: int, device: bytes, handle: bytes, offset: int, expected: bytes) -> None:
        """Write the complement of what a probe should hold into it; leave it alone if it cannot be reached."""
        torch = libraries.loaded("torch")
        if torch is None or not torch.cuda.is_available():
            return
        try:
            with self._opened(torch, device, handle, offset, len(expected)) as flat:
                if bytes(flat.cpu().tolist()) == expected:
                    flat.bitwise_not_()
                else:
                    flat.zero_()
                torch.cuda.current_stream(flat.device.index).synchronize()
        except (CudaError, RuntimeError) as error:
            log.debug("A test tensor of %s cannot be reached: %s", self._peer, error)

    @contextlib.contextmanager
    def _opened(
        self, torch: Any, device: bytes, handle: bytes, offset: int, size_bytes: int
    ) -> Iterator[Any]:
        """The peer's memory as a tensor of uint8, inside the block only. One at a time: a handle, which stands for many
        tensors, cannot be open twice."""
        if len(handle) != HANDLE_BYTES:
            raise CudaError(f"a handle of {len(handle)} bytes is none")
        with self._lock:
            driver = self._open_driver()
            index = self._index_of(torch, driver, device)
            with _on_device(torch, index):
                base = driver.open(handle)
                try:
                    # Reading past the end would leave the context unusable for good.
                    there = driver.find(base)[1]
                    if not 0 <= offset < offset + size_bytes <= there:
                        raise CudaError(f"bytes {offset} to {offset + size_bytes} of {there} are not there")
                    yield torch.as_tensor(_DeviceBytes(base + offset, size_bytes), device=f"cuda:{index}")
                finally:
                    driver.close(base)

    def _index_of(self, torch: Any, driver: CudaDriver, device: bytes) -> int:
        for index in range(torch.cuda.device_count()):
            if driver.identify(index) == device:
                return index
        raise CudaError(
            f"the device {device.hex()} is not among those this process sees (CUDA_VISIBLE_DEVICES)"
        )


@contextlib.contextmanager
def _on_device(torch: Any, index: int) -> Iterator[None]:
    """The device is current, and what is made is an ordinary tensor without a history."""
    with torch.cuda.device(index), torch.inference_mode(False), torch.no_grad():
        yield


def _copy(tensor: Any) -> Any:
    return tensor.detach().resolve_conj().resolve_neg().clone()


def _complement(content: bytes) -> bytes:
    return bytes(255 - byte for byte in content)
