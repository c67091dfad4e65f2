"""numpy arrays and torch tensors as bytes: dtype, shape, strides, and where the bytes are.

Payload of ARRAY and TENSOR: `[dtype, shape, strides, where]`. `dtype` is numpy's ("<f4") or torch's
("bfloat16") own spelling, `strides` count elements and are nil for C order, `where` is the bytes themselves
or `[segment, offset, bytes]`. Strides are kept where the memory is dense in some order of the axes
(transposed, channels last); any other layout arrives in C order.

A tensor becomes a tensor where torch is installed, else a numpy array; an array becomes an array where numpy
is installed, else a tensor. numpy has no bfloat16: without torch such a tensor arrives as float32. Tensors
arrive on the CPU, without gradient history.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from comfy_env_core.wire import libraries
from comfy_env_core.wire.errors import DecodeError
from comfy_env_core.wire.protocol import SEGMENT_THRESHOLD_BYTES
from comfy_env_core.wire.segments import OutgoingSegments, ReceivedSegments
from comfy_env_core.wire.types import TypeCode

NUMPY_KINDS = "?biufcmMSU"
# torch's name -> numpy's, where both exist under different names or widths
TORCH_TO_NUMPY = {"bool": "?", "half": "<f2", "float": "<f4", "double": "<f8"}


def reduce_array(value: Any, segments: OutgoingSegments | None) -> tuple[TypeCode, Any] | None:
    """(code, payload) if the value is an array, tensor or numpy scalar that can travel as bytes, else None.

    `segments` is None where the transport cannot pass descriptors; the bytes are in the payload then.
    """
    numpy = libraries.loaded("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _reduce_numpy(numpy, value, segments)
    torch = libraries.loaded("torch")
    if torch is not None and hasattr(torch, "Tensor") and isinstance(value, torch.Tensor):
        return _reduce_tensor(torch, value, segments)
    return None


def build_array(code: int, payload: Sequence[Any], segments: ReceivedSegments) -> Any:
    """The array or tensor of a received payload; writable, and nobody else's. Raises DecodeError."""
    if code == TypeCode.NUMPY_SCALAR:
        return _build_scalar(payload)
    if code == TypeCode.OBJECT_ARRAY:
        return _build_object_array(payload)
    dtype, shape, strides, where = payload
    buffer = bytearray(where) if isinstance(where, bytes) else segments.map(*where)
    torch_first = code == TypeCode.TENSOR
    for name in ("torch", "numpy") if torch_first else ("numpy", "torch"):
        library = libraries.obtain(name)
        if library is None:
            continue
        build = _as_tensor if name == "torch" else _as_array
        return build(library, dtype, [int(n) for n in shape], strides, buffer)
    raise DecodeError(
        f"A {'tensor' if torch_first else 'numpy array'} of shape {tuple(shape)} arrived in an environment that "
        "has neither torch nor numpy. Add one of them to the pack's comfy-env.toml, for example "
        '[pypi-dependencies] numpy = "*".'
    )


def _reduce_numpy(numpy: Any, value: Any, segments: OutgoingSegments | None) -> tuple[TypeCode, Any] | None:
    dtype = value.dtype
    if isinstance(value, numpy.generic):
        if dtype.kind not in NUMPY_KINDS:
            return None
        plain = value.item() if dtype.kind in "?biufcSU" else str(value)
        return TypeCode.NUMPY_SCALAR, [dtype.str, value.tobytes(), _plain_number(plain)]
    if type(value) is not numpy.ndarray:
        return None  # masked arrays, matrices and the like have meaning beyond their bytes
    if dtype.kind == "O":
        return TypeCode.OBJECT_ARRAY, [list(value.shape), value.reshape(-1).tolist()]
    if dtype.kind not in NUMPY_KINDS or dtype.itemsize == 0:
        return None
    order = _dense_order(value.shape, [stride // dtype.itemsize for stride in value.strides])
    dense = value if order is None else value.transpose(order)
    strides = None if order is None else [stride // dtype.itemsize for stride in value.strides]
    if dense.nbytes < SEGMENT_THRESHOLD_BYTES or segments is None:
        return TypeCode.ARRAY, [dtype.str, list(value.shape), strides, dense.tobytes()]
    if dense.flags.c_contiguous:
        place = segments.write(memoryview(dense.reshape(-1).view(numpy.uint8)))
    else:
        place, mapped = segments.reserve_and_map(dense.nbytes)
        numpy.copyto(numpy.ndarray(dense.shape, dtype, mapped), dense)
    return TypeCode.ARRAY, [dtype.str, list(value.shape), strides, list(place)]


def _reduce_tensor(torch: Any, value: Any, segments: OutgoingSegments | None) -> tuple[TypeCode, Any] | None:
    if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided:
        return None
    if value.is_quantized or value.device.type == "meta":
        return None
    tensor = value.detach().cpu().resolve_conj().resolve_neg()
    dtype = str(tensor.dtype).rpartition(".")[2]
    order = _dense_order(tensor.shape, tensor.stride())
    dense = tensor if order is None else tensor.permute(order)
    strides = None if order is None else list(tensor.stride())
    size_bytes = dense.numel() * dense.element_size()
    if size_bytes < SEGMENT_THRESHOLD_BYTES or segments is None:
        dense = dense.contiguous()
        content = ctypes.string_at(dense.data_ptr(), size_bytes) if size_bytes else b""
        return TypeCode.TENSOR, [dtype, list(tensor.shape), strides, content]
    if dense.is_contiguous():
        # Read through the address: torch's own way to a buffer leads through numpy, which may be absent.
        content_view = memoryview((ctypes.c_ubyte * size_bytes).from_address(dense.data_ptr())).cast("B")
        place = segments.write(content_view)
    else:
        place, mapped = segments.reserve_and_map(size_bytes)
        target = torch.frombuffer(mapped, dtype=torch.uint8).view(dense.dtype).view(dense.shape)
        target.copy_(dense)
    return TypeCode.TENSOR, [dtype, list(tensor.shape), strides, list(place)]


def _dense_order(shape: Sequence[int], strides: Sequence[int]) -> list[int] | None:
    """The order of axes in which the memory is contiguous, or None if that is C order or there is none."""
    wide = [axis for axis in range(len(shape)) if shape[axis] > 1]
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis] if shape[axis] > 1 else 0)
    ordered = [axis for axis in order if shape[axis] > 1]
    if ordered == wide or 0 in shape:
        return None
    expected = 1
    for axis in reversed(ordered):
        if strides[axis] != expected:
            return None
        expected *= shape[axis]
    narrow = [axis for axis in range(len(shape)) if shape[axis] <= 1]
    return narrow + ordered


def _as_array(numpy: Any, dtype: str, shape: list[int], strides: list[int] | None, buffer: Any) -> Any:
    convert = None
    if dtype[:1] not in "<>|=":
        dtype, convert = _numpy_dtype(dtype)
    kind = numpy.dtype(dtype)
    if kind.hasobject:
        raise DecodeError(f"An array of dtype {dtype!r} cannot travel as bytes")
    if 0 in shape:
        return numpy.empty(shape, kind)
    steps = None if strides is None else [stride * kind.itemsize for stride in strides]
    # This constructor checks that shape and strides stay inside the buffer.
    array = numpy.ndarray(shape, kind, buffer, strides=steps)
    return array if convert is None else convert(numpy, array)


def _numpy_dtype(name: str) -> tuple[str, Any]:
    """(numpy dtype, conversion or None) of a torch dtype."""
    if name == "bfloat16":
        return "<u2", _widen_bfloat16
    if name.startswith(("float8", "complex32", "qint", "quint", "bits", "float4")):
        raise DecodeError(
            f"A torch tensor of dtype {name} arrived in an environment without torch, and numpy has no such type. "
            "Add torch to the pack's comfy-env.toml, or convert the tensor to float32 before this node."
        )
    return TORCH_TO_NUMPY.get(name, name), None


def _widen_bfloat16(numpy: Any, raw: Any) -> Any:
    # bfloat16 is the upper half of a float32.
    return (raw.astype(numpy.uint32) << 16).view(numpy.float32)


def _as_tensor(torch: Any, dtype: str, shape: list[int], strides: list[int] | None, buffer: Any) -> Any:
    kind = getattr(torch, _torch_dtype(dtype), None)
    if not isinstance(kind, torch.dtype):
        raise DecodeError(
            f"This environment's torch {torch.__version__} has no dtype {dtype!r}; a newer one may."
        )
    if 0 in shape:
        return torch.empty(shape, dtype=kind)
    flat = torch.frombuffer(buffer, dtype=torch.uint8).view(kind)
    # Both check that shape and strides stay inside the storage.
    return flat.view(shape) if strides is None else flat.as_strided(shape, strides)


def _torch_dtype(name: str) -> str:
    """torch's name of a numpy dtype such as "<f4"; torch's own names come back unchanged."""
    if name[:1] not in "<>|=":
        return name
    kind, size = name[1:2], name[2:]
    stem = {"f": "float", "i": "int", "u": "uint", "c": "complex"}.get(kind)
    if name[0] == ">" or (stem is None and kind != "b"):
        raise DecodeError(
            f"A numpy array of dtype {name!r} arrived in an environment without numpy. "
            "Add numpy to the pack's comfy-env.toml."
        )
    return "bool" if stem is None else f"{stem}{int(size) * 8}"


def _plain_number(value: Any) -> Any:
    # longdouble and clongdouble give themselves back from item()
    return value if type(value) in (bool, int, float, complex, str, bytes) else str(value)


def _build_scalar(payload: Sequence[Any]) -> Any:
    dtype, content, plain = payload
    numpy = libraries.obtain("numpy")
    return plain if numpy is None else numpy.frombuffer(content, dtype)[0]


def _build_object_array(payload: Sequence[Any]) -> Any:
    shape, elements = payload
    numpy = libraries.obtain("numpy")
    if numpy is None:
        raise DecodeError(
            "A numpy array of objects arrived in an environment without numpy. Add numpy to it."
        )
    array = numpy.empty(len(elements), dtype=object)
    for index, element in enumerate(elements):
        array[index] = element
    return array.reshape(shape)
