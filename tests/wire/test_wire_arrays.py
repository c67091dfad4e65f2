"""Arrays and tensors: dtype, shape and strides survive, memory is private to the receiver and freed in time."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

import msgpack
import numpy
import pytest
from patience import PATIENCE_S
from wirepair import CodecPair, deliver, round_trip

from comfy_env_core.wire import DecodeError
from comfy_env_core.wire.encoding import Encoded
from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.arrays import build_part
from comfy_env_core.wire.values.types import TypeCode

DTYPES = [
    "?",
    "i1",
    "u1",
    "<i2",
    ">i4",
    "u4",
    "i8",
    "u8",
    "f2",
    "f4",
    "f8",
    "g",
    "c8",
    "c16",
    "M8[ns]",
    "m8[s]",
    "S5",
    "U3",
]


def sample(dtype: str, shape: tuple[int, ...]) -> Any:
    raw = numpy.random.default_rng(0).integers(0, 2, (*shape, numpy.dtype(dtype).itemsize), dtype=numpy.uint8)
    return numpy.ndarray(shape, dtype, raw.tobytes()).copy()


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("shape", [(), (0, 3), (3,), (130, 90)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_small_and_large(dtype: str, shape: tuple[int, ...]) -> None:
    array = sample(dtype, shape)
    back = round_trip(array)
    assert type(back) is numpy.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@pytest.mark.parametrize(
    "view", ["transposed", "channels last", "sliced", "reversed", "broadcast", "fortran"]
)
@pytest.mark.parametrize("size", [4, 80])
def test_layouts_arrive_equal_and_dense_ones_keep_their_strides(view: str, size: int) -> None:
    base = numpy.random.default_rng(0).random((size, size, 3))
    array = {
        "transposed": base.T,
        "channels last": base.transpose(2, 0, 1)[None],
        "sliced": base[::2, 1:],
        "reversed": base[::-1],
        "broadcast": numpy.broadcast_to(base[:1], base.shape),
        "fortran": numpy.asfortranarray(base),
    }[view]
    back = round_trip(array)
    assert numpy.array_equal(back, array)
    if view in ("transposed", "channels last", "fortran"):
        assert back.strides == array.strides


def test_scalars_and_arrays_of_objects() -> None:
    for scalar in (numpy.float32(1.1), numpy.int8(-3), numpy.bool_(True), numpy.datetime64("2020-01-01")):
        back = round_trip(scalar)
        assert back == scalar and type(back) is type(scalar)


def test_arrays_of_objects_travel_by_element(connect: Callable[..., Any]) -> None:
    left, _ = connect()
    array = numpy.array([[1, "a"], [None, (2,)]], dtype=object)
    (back,) = left.call("echo", [array]).result(PATIENCE_S)
    assert back.dtype == object and back.tolist() == array.tolist()


def test_receiver_changes_only_its_own_copy(connect: Callable[..., Any]) -> None:
    seen: list[Any] = []

    def change(call: Any) -> None:
        (array,) = call.args()
        array += 1
        seen.append(array)
        call.reply(array)

    left, _ = connect(right=change)
    array = numpy.zeros((100, 100))
    back = left.call("change", [array]).result(PATIENCE_S)
    back += 5
    assert array.max() == 0 and seen[0].max() == 1 and back.max() == 6


def test_more_arrays_than_descriptors_can_be_passed_share_a_segment(connect: Callable[..., Any]) -> None:
    left, _ = connect()
    arrays = [numpy.full((64, 65), index, dtype=numpy.float64) for index in range(400)]
    (back,) = left.call("echo", [arrays]).result(PATIENCE_S)
    assert all(numpy.array_equal(one, other) for one, other in zip(back, arrays, strict=True))


def test_answer_nobody_waits_for_leaves_no_descriptor(connect: Callable[..., Any]) -> None:
    left, right = connect()
    left.call("echo", [1]).result(PATIENCE_S)
    before = open_descriptors()
    call = left.call("echo", [numpy.zeros((100, 100))])
    call.wait(PATIENCE_S)
    del call
    left.call("echo", [1]).result(PATIENCE_S)
    left.memory.trim()
    right.memory.trim()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "region",
    [[0, 0, 10**9], [5, 0, 4096], [0, -4096, 4096], [0, 1, 10**5], [0, 0, 0], [0], None, [0, "x", 1]],
)
def test_bytes_that_are_not_in_the_segment_are_refused(region: Any) -> None:
    pair = CodecPair()
    encoded = pair.left.encode(numpy.zeros((64, 64)))
    size = int.from_bytes(encoded.body[:4], "little")
    table = msgpack.unpackb(encoded.body[4 : 4 + size])
    table[3] = [region]
    damaged = msgpack.packb(table)
    body = len(damaged).to_bytes(4, "little") + damaged + encoded.body[4 + size :]
    with pytest.raises(DecodeError):
        deliver(Encoded(body, encoded.attachments), pair.right)


def test_environment_without_numpy_and_torch_says_what_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "obtain", lambda name: None)
    with pytest.raises(DecodeError, match=r"neither torch nor numpy.*comfy-env.toml"):
        round_trip(numpy.zeros((64, 64)))


def test_bfloat16_becomes_float32_where_torch_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "obtain", lambda name: None if name == "torch" else numpy)
    halves = numpy.array([1.0, -2.5, 3e38], numpy.float32).view(numpy.uint32) >> 16
    content = bytearray(halves.astype("<u2").tobytes())
    back = build_part([TypeCode.TENSOR, "bfloat16", [3], None, 0, 0, None], content, 0, 6)
    assert back.dtype == numpy.float32 and back.tolist()[:2] == [1.0, -2.5]
    with pytest.raises(DecodeError, match=r"float8_e4m3fn.*without torch"):
        build_part([TypeCode.TENSOR, "float8_e4m3fn", [1], None, 0, 0, None], bytearray(b"1"), 0, 1)


def torch_tensors() -> list[Any]:
    torch = pytest.importorskip("torch", reason="torch is not installed for the tests' Python")
    generator = torch.Generator().manual_seed(0)
    names = [
        "bool",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    ]
    names += ["uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]
    dtypes = [getattr(torch, name) for name in names if hasattr(torch, name)]
    tensors = [(torch.rand(90, 90, generator=generator) * 2).to(dtype) for dtype in dtypes]
    tensors += [tensor[:2, :2].clone() for tensor in tensors]
    image = torch.rand(1, 3, 64, 64, generator=generator)
    views = [image.permute(0, 2, 3, 1), image.to(memory_format=torch.channels_last), image[..., ::2]]
    views += [image.expand(3, 3, 64, 64), torch.zeros(0, 3), torch.tensor(1.5), torch.nn.Parameter(image)]
    return tensors + views + [torch.view_as_complex(torch.rand(80, 80, 2)).conj()]


def test_tensors_of_every_dtype_and_layout() -> None:
    for tensor in torch_tensors():
        import torch

        back = round_trip(tensor)
        assert type(back) is type(tensor) and back.dtype == tensor.dtype and back.shape == tensor.shape
        exact = (
            torch.equal(
                back.detach().contiguous().view(torch.uint8),
                tensor.detach().resolve_conj().contiguous().view(torch.uint8),
            )
            if tensor.dim()
            else back == tensor
        )
        assert exact, tensor.dtype
    channels_last = torch.rand(1, 3, 64, 64).to(memory_format=torch.channels_last)
    assert round_trip(channels_last).stride() == channels_last.stride()
