"""GPU tensors by CUDA's own sharing: only after a canary, never at the cost of bytes, otherwise through the host.

With a stand-in for the driver; the last test needs a GPU and runs two processes' worth of it.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed for the tests' Python")

from fake_cuda import DeviceTensor, FakeDevice, FakeDriverLibrary, FakeTorch  # noqa: E402
from wirepair import CodecPair, deliver  # noqa: E402

from comfy_env_core.wire import DecodeError  # noqa: E402
from comfy_env_core.wire.values import cuda, libraries  # noqa: E402
from comfy_env_core.wire.values.cuda import CudaSharing, Trust  # noqa: E402
from comfy_env_core.wire.values.cuda_driver import CudaDriver, CudaError  # noqa: E402

SIZE = 600  # float32 in two dimensions: more than a megabyte


class Pair:
    """Two processes with a device each sees in its own way, or not."""

    def __init__(
        self, left: FakeDriverLibrary, right: FakeDriverLibrary, *, right_takes_part: bool = True
    ) -> None:
        self.codecs = CodecPair()
        self.torches = FakeTorch(left), FakeTorch(right)
        sides = self.codecs.left, self.codecs.right
        for number, library in enumerate((left, right)):
            if number and not right_takes_part:
                continue
            sharing = CudaSharing(
                "worker mesh" if not number else "ComfyUI", lambda library=library: CudaDriver(library)
            )
            sides[number].exchange = sides[number].exchange._replace(cuda=sharing)

    @property
    def sharing(self) -> CudaSharing:
        sharing = self.codecs.left.exchange.cuda
        assert sharing is not None
        return sharing

    def make(self, *shape: int, value: float = 1.0) -> Any:
        """A tensor on the left's device."""
        FakeTorch.acting = self.torches[0]
        return DeviceTensor.of(torch.full(shape, value))

    def encode(self, value: Any) -> Any:
        FakeTorch.acting = self.torches[0]
        return self.codecs.left.encode(value)

    def send(self, value: Any) -> Any:
        encoded = self.encode(value)
        FakeTorch.acting = self.torches[1]
        return deliver(encoded, self.codecs.right)

    def settle(self) -> None:
        gc.collect()
        self.codecs.settle()

    def prove(self) -> None:
        """Let the canary fly there and back."""
        self.send(self.make(SIZE, SIZE))
        self.settle()

    def was_shared(self, encoded: Any) -> bool:
        return b"cuda_probe" not in encoded.body and len(encoded.attachments.descriptors) == 0


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def connect(device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []
    ordinary = libraries.loaded

    def find(name: str) -> Any:
        return FakeTorch.acting if name == "torch" else ordinary(name)

    monkeypatch.setattr(libraries, "loaded", find)
    monkeypatch.setattr(libraries, "obtain", find)

    def make(
        left: FakeDriverLibrary | None = None, right: FakeDriverLibrary | None = None, **options: Any
    ) -> Pair:
        pair = Pair(left or FakeDriverLibrary(device), right or FakeDriverLibrary(device), **options)
        made.append(pair)
        FakeTorch.acting = pair.torches[0]
        return pair

    yield make
    for pair in made:
        pair.codecs.close()


def trust(pair: Pair) -> Trust:
    pair.encode(pair.make(SIZE, SIZE))
    return pair.sharing._trials[0].trust


# -- falling back ------------------------------------------------------------------------------------------


def fail_canary(pair: Pair, caplog: pytest.LogCaptureFixture, tries: int) -> None:
    with caplog.at_level(logging.WARNING):
        for value in range(tries + 3):
            arrived = pair.send(pair.make(SIZE, SIZE, value=float(value)))
            assert type(arrived) is DeviceTensor and arrived.min() == arrived.max() == value
            pair.settle()
    assert trust(pair) is Trust.REFUSED
    assert [record.levelname for record in caplog.records] == ["WARNING"], "it is said once"
    assert "worker mesh" in caplog.text and "COMFY_ENV_CUDA_IPC" in caplog.text


def test_memory_that_arrives_with_other_bytes_is_found_out_by_the_canary(
    connect: Callable[..., Pair], device: FakeDevice, caplog: pytest.LogCaptureFixture
) -> None:
    fail_canary(connect(right=FakeDriverLibrary(device, corrupts=True)), caplog, cuda.MOST_PROBES)


def test_peer_that_writes_something_else_is_refused_at_once(
    connect: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(DeviceTensor, "bitwise_not_", DeviceTensor.zero_)
    fail_canary(connect(), caplog, 1)
    assert "other bytes than expected" in caplog.text


def test_peer_that_reads_something_else_is_refused_at_once(
    connect: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pair, ordinary = connect(), DeviceTensor.cpu

    def cpu(tensor: Any) -> Any:
        host = ordinary(tensor)
        return host if FakeTorch.acting is pair.torches[0] else host.zero_()

    monkeypatch.setattr(DeviceTensor, "cpu", cpu)
    fail_canary(pair, caplog, 1)


def test_peer_that_takes_no_part_is_sent_what_the_host_has(
    connect: Callable[..., Pair], caplog: pytest.LogCaptureFixture
) -> None:
    fail_canary(connect(right_takes_part=False), caplog, cuda.MOST_PROBES)
    assert "unanswered" in caplog.text


def test_peer_that_does_not_see_the_device_is_sent_what_the_host_has(
    connect: Callable[..., Pair], device: FakeDevice, caplog: pytest.LogCaptureFixture
) -> None:
    fail_canary(connect(right=FakeDriverLibrary(device, [bytes(16)])), caplog, cuda.MOST_PROBES)


def test_process_without_the_driver_stages(
    connect: Callable[..., Pair], caplog: pytest.LogCaptureFixture
) -> None:
    pair = connect()

    def load() -> CudaDriver:
        raise CudaError("libcuda.so.1 cannot be used: not found")

    pair.codecs.left.exchange = pair.codecs.left.exchange._replace(cuda=CudaSharing("worker mesh", load))
    fail_canary(pair, caplog, 1)
    assert "libcuda.so.1" in caplog.text


def test_memory_that_cannot_be_exported_is_staged_tensor_by_tensor(connect: Callable[..., Pair]) -> None:
    pair = connect()
    pair.prove()
    library = pair.torches[0].library
    library.exportable = False  # as of an expandable segment
    encoded = pair.encode(pair.make(SIZE, SIZE, value=3.0))
    assert len(encoded.attachments.descriptors) == 1 and len(library.opened) == 0
    FakeTorch.acting = pair.torches[1]
    assert deliver(encoded, pair.codecs.right).min() == 3.0
    library.exportable = True
    assert pair.was_shared(pair.encode(pair.make(SIZE, SIZE)))


def test_tensor_whose_device_memory_is_not_there_is_an_error_that_says_what_to_do(
    connect: Callable[..., Pair], device: FakeDevice
) -> None:
    pair = connect()
    pair.prove()
    encoded = pair.encode(pair.make(SIZE, SIZE))
    device.exported.clear()
    FakeTorch.acting = pair.torches[1]
    with pytest.raises(
        DecodeError, match=r"GPU tensor of ComfyUI cannot be read.*INVALID_VALUE.*COMFY_ENV_CUDA_IPC"
    ):
        deliver(encoded, pair.codecs.right)


@pytest.mark.parametrize(("offset", "size"), [(512, 1 << 30), (-1, 100), (1 << 40, 100), (0, 0), (0, -5)])
def test_bytes_outside_of_the_opened_allocation_are_refused(
    offset: int, size: int, connect: Callable[..., Pair]
) -> None:
    pair = connect()
    FakeTorch.acting = pair.torches[0]
    driver = CudaDriver(pair.torches[0].library)
    tensor = pair.make(SIZE, SIZE)
    place = [driver.identify(0), driver.export(tensor.data_ptr()).handle, offset, size]
    receiver = pair.codecs.right.exchange.cuda
    assert receiver is not None
    FakeTorch.acting = pair.torches[1]
    with pytest.raises(DecodeError, match="are not there"):
        receiver.take([17, "uint8", [10], None, -1, 0, {"cuda": [0, *place]}])
    assert not pair.torches[1].library.opened


# -- sharing -----------------------------------------------------------------------------------------------


def test_it_is_off_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cuda.VARIABLE, raising=False)
    assert CudaSharing.of_environment("worker") is None
    monkeypatch.setenv(cuda.VARIABLE, "1")
    assert CudaSharing.of_environment("worker") is not None


def test_first_tensor_is_staged_and_the_next_ones_stay_on_the_device(connect: Callable[..., Pair]) -> None:
    pair = connect()
    first = pair.encode(pair.make(SIZE, SIZE))
    assert b"cuda_probe" in first.body and len(first.attachments.descriptors) == 1
    meanwhile = pair.encode(pair.make(SIZE, SIZE))
    assert b"cuda_probe" not in meanwhile.body and len(meanwhile.attachments.descriptors) == 1
    FakeTorch.acting = pair.torches[1]
    assert deliver(first, pair.codecs.right).max() == 1.0
    del first, meanwhile
    pair.settle()
    waited = pair.torches[0].synchronised
    second = pair.encode(pair.make(SIZE, SIZE, value=2.0))
    assert pair.was_shared(second) and len(second.body) < 400
    assert pair.torches[0].synchronised > waited, "the copy must be finished before it is announced"
    FakeTorch.acting = pair.torches[1]
    arrived = deliver(second, pair.codecs.right)
    assert type(arrived) is DeviceTensor and arrived.shape == (SIZE, SIZE) and arrived.min() == 2.0


def test_canary_that_was_never_read_is_sent_again(connect: Callable[..., Pair]) -> None:
    pair = connect()
    for _ in range(2):
        encoded = pair.encode(pair.make(SIZE, SIZE))
        encoded.attachments.abandon()
        gc.collect()
    pair.prove()
    assert trust(pair) is Trust.PROVEN


def test_what_either_side_writes_later_the_other_does_not_see(connect: Callable[..., Pair]) -> None:
    pair = connect()
    pair.prove()
    tensor = pair.make(SIZE, SIZE)
    encoded = pair.encode(tensor)
    tensor.fill_(5.0)
    FakeTorch.acting = pair.torches[1]
    arrived = deliver(encoded, pair.codecs.right)
    assert arrived.max() == 1.0
    arrived.fill_(7.0)
    assert tensor.max() == 5.0


def test_copy_is_lent_until_the_receiver_has_its_own(connect: Callable[..., Pair]) -> None:
    pair = connect()
    pair.prove()
    lent = pair.codecs.left.exchange.lent
    before = len(lent)
    encoded = pair.encode(pair.make(SIZE, SIZE))
    assert len(lent) == before + 1
    FakeTorch.acting = pair.torches[1]
    arrived = deliver(encoded, pair.codecs.right)
    del encoded
    pair.settle()
    assert len(lent) == before and not pair.torches[1].library.opened
    assert arrived.max() == 1.0


def test_unread_message_gives_the_copy_back(connect: Callable[..., Pair]) -> None:
    pair = connect()
    pair.prove()
    before = len(pair.codecs.left.exchange.lent)
    encoded = pair.encode([pair.make(SIZE, SIZE)])
    pair.codecs.right.receive(encoded.body, 0, []).close()
    pair.settle()
    assert len(pair.codecs.left.exchange.lent) == before


def test_several_tensors_of_one_allocation_layouts_and_flags_arrive(connect: Callable[..., Pair]) -> None:
    pair = connect()
    pair.prove()
    base = pair.make(4, SIZE, SIZE)
    base.copy_(torch.arange(4.0 * SIZE * SIZE).reshape(4, SIZE, SIZE))
    leaf = DeviceTensor.of(base[0]).requires_grad_()
    sent = [
        base[0],
        base[3],
        base.permute(1, 2, 0),
        base[:, ::2],
        base[:1].expand(3, SIZE, SIZE),
        leaf,
        base[0, :2],
    ]
    encoded = pair.encode({"several": sent, "same": sent[1]})
    FakeTorch.acting = pair.torches[1]
    received = deliver(encoded, pair.codecs.right)
    for one, other in zip(received["several"], sent, strict=True):
        assert torch.equal(one.as_subclass(torch.Tensor), other.as_subclass(torch.Tensor).detach())
        assert one.requires_grad == other.requires_grad
    assert received["same"] is received["several"][1]
    assert received["several"][2].stride() == sent[2].stride()


def test_small_and_quantised_tensors_take_the_way_through_the_host(connect: Callable[..., Pair]) -> None:
    pair = connect()
    pair.prove()
    encoded = pair.encode([pair.make(10, 10), pair.make(0, 5)])
    assert b"cuda_probe" not in encoded.body and b'"cuda"' not in encoded.body
    FakeTorch.acting = pair.torches[1]
    small, empty = deliver(encoded, pair.codecs.right)
    assert small.max() == 1.0 and empty.shape == (0, 5)


def test_devices_are_told_apart_by_their_own_number(connect: Callable[..., Pair], device: FakeDevice) -> None:
    driver = CudaDriver(FakeDriverLibrary(device, [bytes(16), device.uuid]))
    assert driver.identify(1) == device.uuid != driver.identify(0)
    with pytest.raises(CudaError, match="cuDeviceGet failed"):
        driver.identify(2)


def test_driver_that_is_not_installed_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(CudaError, match=r"(libcuda|nvcuda).* cannot be used"):
        CudaDriver.load()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this takes a GPU, and there is none here")
def test_real_driver_exports_memory_and_knows_its_device() -> None:
    driver = CudaDriver.load()
    tensor = torch.ones(SIZE, SIZE, device="cuda")
    base, size = driver.find(tensor.data_ptr())
    assert base <= tensor.data_ptr() < base + size and len(driver.identify(0)) == 16
    assert driver.export(tensor.data_ptr()).offset == tensor.data_ptr() - base
