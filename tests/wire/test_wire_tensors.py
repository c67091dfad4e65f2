"""torch tensors: every dtype, layout and flag arrives as documented in tensors.py, or stays behind as a handle.

The tensor of more than 4 GiB is sent only with COMFY_ENV_TEST_HUGE=1 and 14 GiB of free memory; it takes ten seconds.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import numpy
import pytest
from wirepair import CodecPair, deliver, round_trip

from comfy_env_core.wire import DecodeError, Handle
from comfy_env_core.wire.values.arrays import buffer_part, build_part
from comfy_env_core.wire.values.regions import Part, join_runs
from comfy_env_core.wire.values.types import TypeCode

torch = pytest.importorskip("torch", reason="torch is not installed for the tests' Python")

MEGABYTE = 1 << 20
FLOAT8 = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"]
OTHERS = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
]
OTHERS += ["float32", "float64", "complex32", "complex64", "complex128"]
SHAPES = [(), (0, 3), (5,), (130, 90), (3, 0, 2), (1, 1, 700)]


def bits(tensor: Any) -> bytes:
    """The elements in C order, as bytes."""
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    return bytes(tensor.view(torch.uint8).numpy()) if tensor.numel() else b""


def sample(dtype: Any, shape: tuple[int, ...]) -> Any:
    """Random bits; of a bool only 0 and 1."""
    size = torch.empty(0, dtype=dtype).element_size()
    generator = torch.Generator().manual_seed(0)
    high = 2 if dtype is torch.bool else 256
    count = int(numpy.prod(shape)) * size
    return torch.randint(0, high, (count,), dtype=torch.uint8, generator=generator).view(dtype).reshape(shape)


@pytest.fixture(params=[True, False], ids=["segments", "inline"])
def pair(request: pytest.FixtureRequest) -> Iterator[CodecPair]:
    pair = CodecPair(passes_segments=request.param)
    yield pair
    pair.settle()
    pair.close()


# -- what cannot travel as bytes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(300).to_sparse(),
        lambda: torch.eye(300).to_sparse_csr(),
        lambda: torch.nested.nested_tensor([torch.zeros(3), torch.zeros(5)]),
        lambda: torch.nested.nested_tensor([torch.zeros(3), torch.zeros(5)], layout=torch.jagged),
        lambda: type("Wrapped", (torch.Tensor,), {})(3),
        lambda: resized_to_nothing(),  # noqa: PLW0108 -- defined below
        lambda: torch.eye(5).to_mkldnn(),
    ],
    ids=["sparse", "csr", "nested", "jagged", "subclass", "resized to nothing", "mkldnn"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_more_than_bytes_stay_where_they_are(make: Any) -> None:
    pair = CodecPair()
    value = make()
    arrived = pair.send([value])[0]
    assert isinstance(arrived, Handle)
    assert pair.send_back(arrived) is value


def resized_to_nothing() -> Any:
    """A shape without memory behind it, as sharding libraries leave it; reading it would be a crash."""
    tensor = torch.ones(10)
    tensor.untyped_storage().resize_(0)
    return tensor


def entry(
    dtype: str, shape: list[int], extra: Any = None, *, strides: Any = None, first_byte: int = 0
) -> list[Any]:
    return [TypeCode.TENSOR, dtype, shape, strides, 0, first_byte, extra]


@pytest.mark.parametrize(
    ("damaged", "size"),
    [
        (entry("float32", [5]), 16),
        (entry("float32", [4], strides=[2]), 16),
        (entry("float32", [4], strides=[-1]), 16),
        (entry("float32", [3], first_byte=2), 16),
        (entry("float32", [4], first_byte=4), 16),
        (entry("float32", [1 << 62, 1 << 62]), 16),
        (entry("no_such_type", [4]), 16),
        (entry("Tensor", [4]), 16),
        (entry("qint8", [4, 2], {"quantised": [[0.5], [0], 0]}), 8),
        (entry("qint8", [4, 2], {"quantised": [[0.5] * 4, [0] * 3, 0]}), 8),
        (entry("qint8", [4, 2], {"quantised": [[0.5] * 4, [0] * 4, 2]}), 8),
        (entry("qint8", [8], {"quantised": 5}), 8),
        (entry("float32", [2], {"quantised": [0.5, 0]}), 8),
    ],
)
def test_entries_that_do_not_fit_their_bytes_are_errors(damaged: list[Any], size: int) -> None:
    with pytest.raises((DecodeError, RuntimeError, TypeError, ValueError, OverflowError)):
        build_part(damaged, bytearray(size), 0, size)


@pytest.mark.parametrize("code", [TypeCode.TENSOR, TypeCode.ARRAY])
def test_shape_without_its_bytes_is_an_error_and_not_stale_memory(code: int) -> None:
    with pytest.raises(DecodeError, match="without its bytes"):
        build_part([code, "<f4", [2, 2], None, -1, 0, None], None, 0, 0)


def test_large_buffer_does_not_join_arrays_at_low_addresses() -> None:
    """On Windows the heap may lie below a gigabyte, where a buffer's bytes, counted from 0, reached."""
    parts = [buffer_part(memoryview(bytearray(MEGABYTE)))]
    for address in (4096, 65536):
        part = Part(TypeCode.ARRAY, "|u1", [16], 16, 16)
        part.address = address
        parts.append(part)
    assert [run.size_bytes for run in join_runs(parts)] == [MEGABYTE, 16, 16]


# -- dtypes and layouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OTHERS + FLOAT8)
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_every_dtype_arrives_bit_by_bit(name: str, shape: tuple[int, ...], pair: CodecPair) -> None:
    if not hasattr(torch, name):
        pytest.skip(f"torch {torch.__version__} has no {name}")
    tensor = sample(getattr(torch, name), shape)
    back = pair.send(tensor)
    assert type(back) is torch.Tensor and (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
    assert bits(back) == bits(tensor) and back.stride() == tensor.stride()


LAYOUTS = {
    "transposed": lambda base: base.T,
    "permuted": lambda base: base.permute(2, 0, 1)[None],
    "channels last": lambda base: base.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last),
    "sliced": lambda base: base[::2, 1:],
    "one column": lambda base: base[:, 5],
    "offset": lambda base: base[7:],
    "flipped": lambda base: base.flip(0),
    "expanded": lambda base: base[:1].expand(50, -1, -1),
    "expanded scalar": lambda base: base[0, 0, 0].expand(2000, 30),
    "diagonal": lambda base: base[:, :, 0].diagonal(),
    "overlapping": lambda base: base.reshape(-1).as_strided((100, 100), (3, 1)),
    "imaginary": lambda base: torch.complex(base, base * 2).imag,
}


@pytest.mark.filterwarnings("ignore:The use of `x.T`")
@pytest.mark.parametrize("size", [8, 90])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_arrives_equal(layout: str, size: int, pair: CodecPair) -> None:
    base = torch.rand(max(size, 60), size, 3, generator=torch.Generator().manual_seed(0))
    tensor = LAYOUTS[layout](base)
    before = bits(tensor)
    back = pair.send(tensor)
    assert back.shape == tensor.shape and bits(back) == before
    if layout in ("transposed", "permuted", "channels last", "expanded", "expanded scalar"):
        assert back.stride() == tensor.stride()


@pytest.mark.parametrize("size", [3, 300])
def test_lazily_conjugated_and_negated_views_arrive_resolved(size: int, pair: CodecPair) -> None:
    base = torch.randn(size, size, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    for view in (base.conj(), base.conj().imag, base.mH, base.conj()[::2]):
        expected = view.clone()
        for _ in range(4):  # the third time a kept copy is asked for
            back = pair.send(view)
            assert torch.equal(back, expected) and not back.is_conj() and not back.is_neg()


def test_kept_copies_are_of_memory_that_stays_and_not_of_a_resolved_view() -> None:
    pair = CodecPair()
    base = torch.randn(600, 600, dtype=torch.complex64)
    view = base.conj()
    for number in range(5):
        base[3, 3] = number
        assert pair.send(view)[3, 3] == number
    assert pair.left.exchange.memory.kept.size_bytes == 0
    pair.close()


# -- sharing -----------------------------------------------------------------------------------------------


def test_views_of_one_storage_share_it_on_arrival_whichever_library_they_are_of(pair: CodecPair) -> None:
    base = torch.zeros(400, 300)
    parameter = torch.nn.Parameter(base, requires_grad=False)
    arrived = pair.send([base, base[5:9], base.T, base.numpy()[:, ::7], parameter, base.view(torch.int32)[2]])
    whole, part, turned, array, trained, integers = arrived
    with torch.no_grad():
        whole.fill_(2.0)
    assert part.min() == turned.min() == trained.min() == 2.0 and array.min() == 2.0
    assert (integers.view(torch.float32) == 2.0).all() and type(trained) is torch.nn.Parameter
    assert isinstance(array, numpy.ndarray) and base.max() == 0


def test_same_tensor_twice_is_one_tensor(pair: CodecPair) -> None:
    tensor = torch.rand(500, 500)
    one, other = pair.send({"a": tensor, "b": tensor}).values()
    assert one is other


def test_receiver_changes_only_its_own_copy(pair: CodecPair) -> None:
    tensor = torch.zeros(500, 500)
    for _ in range(3):
        arrived = pair.send(tensor)
        assert arrived.max() == 0
        arrived.add_(1)
        del arrived
        gc.collect()
        pair.settle()
    assert tensor.max() == 0


# -- quantised ---------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("layout", ["whole", "turned", "empty", "expanded"])
@pytest.mark.parametrize("name", ["qint8", "quint8", "qint32"])
def test_tensors_quantised_as_a_whole(name: str, layout: str, pair: CodecPair) -> None:
    plain = torch.rand(120, 80, generator=torch.Generator().manual_seed(0))
    whole = torch.quantize_per_tensor(plain, 0.01, 3, getattr(torch, name))
    tensor = {"whole": whole, "turned": whole.t(), "empty": whole[:0], "expanded": whole[:1].expand(9, 80)}[
        layout
    ]
    back = pair.send(tensor)
    assert back.dtype == tensor.dtype and back.shape == tensor.shape
    assert (back.q_scale(), back.q_zero_point()) == (0.01, 3)
    assert torch.equal(back.int_repr(), tensor.int_repr()) and torch.equal(
        back.dequantize(), tensor.dequantize()
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("axis", [0, 1])
def test_tensors_quantised_by_channel(axis: int, pair: CodecPair) -> None:
    plain = torch.rand(120, 80, generator=torch.Generator().manual_seed(0))
    scales = torch.linspace(0.001, 0.2, plain.shape[axis], dtype=torch.float64)
    zeros = torch.arange(plain.shape[axis]) % 5
    tensor = torch.quantize_per_channel(plain, scales, zeros, axis, torch.qint8)
    back = pair.send(tensor)
    assert back.qscheme() == torch.per_channel_affine and back.q_per_channel_axis() == axis
    assert torch.equal(back.q_per_channel_scales(), scales) and torch.equal(
        back.q_per_channel_zero_points(), zeros
    )
    assert torch.equal(back.int_repr(), tensor.int_repr()) and torch.equal(
        back.dequantize(), tensor.dequantize()
    )


# -- flags -------------------------------------------------------------------------------------------------


def test_meta_tensors_arrive_without_bytes_and_with_strides() -> None:
    pair = CodecPair()
    tensor = torch.empty(1 << 20, 1 << 20, device="meta", dtype=torch.bfloat16).t()
    encoded = pair.left.encode([tensor, torch.empty(0, 3, device="meta")])
    assert len(encoded.body) < 300 and not encoded.descriptors
    back, empty = deliver(encoded, pair.right)
    assert back.device.type == empty.device.type == "meta" and back.dtype == torch.bfloat16
    assert (back.shape, back.stride()) == (tensor.shape, tensor.stride()) and empty.shape == (0, 3)


def test_leaves_require_gradients_again_and_results_do_not(pair: CodecPair) -> None:
    leaf = torch.rand(200, 200, requires_grad=True)
    back, result, plain = pair.send([leaf, leaf * 2, leaf.detach()])
    assert back.requires_grad and back.is_leaf and back.grad is None
    assert not result.requires_grad and not plain.requires_grad and torch.equal(result, leaf.detach() * 2)
    (back * 3).sum().backward()
    assert back.grad.max() == 3 and leaf.grad is None


@pytest.mark.parametrize("needs_gradients", [True, False])
def test_parameters_arrive_as_parameters(needs_gradients: bool, pair: CodecPair) -> None:
    parameter = torch.nn.Parameter(torch.rand(40, 40), requires_grad=needs_gradients)
    back = pair.send(parameter)
    assert (
        type(back) is torch.nn.Parameter
        and back.requires_grad is needs_gradients
        and torch.equal(back, parameter)
    )


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("there", [True, False], ids=["receiver in inference mode", "receiver not"])
@pytest.mark.parametrize("here", [True, False], ids=["sender in inference mode", "sender not"])
def test_tensors_of_inference_mode_can_be_used_in_and_out_of_it(here: bool, there: bool, size: int) -> None:
    pair = CodecPair()
    with torch.inference_mode(here):
        tensor = torch.ones(size, size)
        values = [
            tensor,
            tensor[1:],
            tensor.t(),
            torch.nn.Parameter(tensor.clone()),
            tensor.to(torch.bfloat16),
        ]
        encoded = pair.left.encode([*values, torch.ones(2, requires_grad=True)])
    with torch.inference_mode(there):
        back = deliver(encoded, pair.right)
        assert not any(one.is_inference() for one in back)
        back[0].add_(1)
        assert back[1].min() == back[2].min() == 2
    back[0].mul_(2)
    weight = torch.ones(size, size, requires_grad=True)
    (back[0] * weight).sum().backward()
    assert weight.grad.min() == 4 and back[5].requires_grad and back[3].requires_grad
    (back[3] * 2).sum().backward()


def test_tensors_are_sent_and_received_without_gradients_enabled(pair: CodecPair) -> None:
    with torch.no_grad():
        leaf = torch.rand(300, 300, requires_grad=True)
        back, turned = pair.send([leaf, leaf.t()])
    assert back.requires_grad and back.is_leaf and torch.equal(turned, back.t())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory takes a GPU, and there is none here")
def test_pinned_tensors_arrive_in_ordinary_memory_and_are_not_watched() -> None:
    pair = CodecPair()
    tensor = torch.ones(1000, 1000).pin_memory()
    for value in range(4):
        tensor.fill_(value)
        back = pair.send(tensor)
        assert back.max() == value and not back.is_pinned()
    assert pair.left.exchange.memory.kept.size_bytes == 0


@pytest.mark.parametrize("device", ["cuda:7", "mps:0", "xpu:0", "privateuseone:0"])
def test_tensors_of_devices_the_receiver_has_not_arrive_on_the_cpu(device: str) -> None:
    if device.startswith("mps") and torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    back = build_part(entry("float32", [2], {"device": device}), bytearray(8), 0, 8)
    assert back.device.type == "cpu" or torch.cuda.is_available()


# -- size --------------------------------------------------------------------------------------------------


def free_bytes() -> int:
    """What could be used without swapping."""
    with open("/proc/meminfo") as facts:
        return next(int(line.split()[1]) * 1024 for line in facts if line.startswith("MemAvailable"))


@pytest.mark.skipif(
    os.environ.get("COMFY_ENV_TEST_HUGE") != "1" or free_bytes() < 14 << 30,
    reason="takes COMFY_ENV_TEST_HUGE=1 and 14 GiB of free memory",
)
def test_tensor_of_more_than_4_gib_arrives_whole_and_goes_home_without_a_copy() -> None:
    pair = CodecPair()
    size = (4 << 30) + (200 << 20) + 12345
    tensor = torch.zeros(size, dtype=torch.uint8)
    marks = {0: 1, (4 << 30) - 1: 2, 4 << 30: 3, size - 1: 4}
    for place, mark in marks.items():
        tensor[place] = mark
    there = pair.send(tensor)
    del tensor
    assert there.numel() == size and {place: int(there[place]) for place in marks} == marks
    back = pair.send_back(there)
    assert {place: int(back[place]) for place in marks} == marks
    assert pair.right.exchange.memory.statistics().used_bytes == 0
    back[(4 << 30) + 5] = 9
    assert int(there[(4 << 30) + 5]) == 0


def test_round_trip_of_nothing_but_shapes() -> None:
    for shape in ((0,), (0, 0), (5, 0, 7)):
        back = round_trip(torch.zeros(shape))
        assert back.shape == shape and back.dtype == torch.float32


@pytest.mark.parametrize("axes", [(0, 3, 1, 2), (0, 1, 2, 3), (3, 2, 1, 0)])
def test_a_part_of_a_tensor_keeps_the_order_of_its_axes(pair: CodecPair, axes: tuple[int, ...]) -> None:
    """Of a picture cut out of a larger one torch's convolutions give other last bits in C order."""
    whole = sample(torch.float32, (1, 64, 64, 3)).permute(axes)
    part = whole.narrow(whole.shape.index(64), 10, 20)
    back = pair.send(part)
    assert bits(back) == bits(part)
    assert sorted(range(4), key=lambda axis: -back.stride(axis)) == sorted(
        range(4), key=lambda axis: -part.stride(axis)
    )
    assert back.untyped_storage().nbytes() <= part.numel() * 4 + 4096
