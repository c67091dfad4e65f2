"""numpy arrays and scalars as bytes: dtype, shape, strides, and where the bytes are.

An entry of the table of arrays is `[code, dtype, shape, strides, region, first byte, extra]`. `dtype` is numpy's
("<f4", or a list of fields) or torch's ("bfloat16") own spelling; `strides` count elements and are nil for C order;
`region` is -1 for an array without bytes; `first byte` is where the first element begins in the region. Whether memory
travels as it is, with its strides, or is made compact first, is decided by which takes fewer bytes.

A tensor becomes a tensor where torch is installed, else a numpy array; an array becomes an array where numpy is
installed, else a tensor. numpy has no bfloat16: without torch such a tensor arrives as float32.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from comfy_env_core.wire.errors import DecodeError
from comfy_env_core.wire.values import libraries
from comfy_env_core.wire.values.regions import Part
from comfy_env_core.wire.values.tensors import as_tensor, tensor_part
from comfy_env_core.wire.values.types import TypeCode

KINDS = "?biufcmMSU"
# torch's name -> numpy's, where both exist under different names or widths
TORCH_TO_NUMPY = {"bool": "?", "half": "<f2", "float": "<f4", "double": "<f8"}


def array_part(value: Any) -> Part | None:
    """The bytes of an array or tensor, None if it is none that can travel as bytes."""
    numpy = libraries.loaded("numpy")
    if numpy is not None and isinstance(value, getattr(numpy, "ndarray", ())):
        return _numpy_part(numpy, value)
    torch = libraries.loaded("torch")
    if torch is not None and isinstance(value, getattr(torch, "Tensor", ())):
        return tensor_part(torch, value)
    return None


def reduce_numpy(value: Any) -> tuple[TypeCode, Any] | None:
    """(code, payload) of a numpy scalar or an array of objects, else None."""
    numpy = libraries.loaded("numpy")
    if numpy is None or not hasattr(numpy, "generic"):
        return None
    if isinstance(value, numpy.generic):
        dtype = value.dtype
        if dtype.kind not in KINDS:
            return None
        plain = value.item() if dtype.kind in "?biufcSU" else str(value)
        # longdouble and clongdouble give themselves back from item()
        if type(plain) not in (bool, int, float, complex, str, bytes):
            plain = str(plain)
        return TypeCode.NUMPY_SCALAR, [dtype.str, value.tobytes(), plain]
    if type(value) is numpy.ndarray and value.dtype.kind == "O":
        return TypeCode.OBJECT_ARRAY, [list(value.shape), value.reshape(-1).tolist()]
    return None


def build_numpy(code: int, payload: Sequence[Any]) -> Any:
    """The value of what `reduce_numpy` gave. Raises DecodeError."""
    numpy = libraries.obtain("numpy")
    if code == TypeCode.NUMPY_SCALAR:
        dtype, content, plain = payload
        return plain if numpy is None else numpy.frombuffer(content, dtype)[0]
    shape, elements = payload
    if numpy is None:
        raise DecodeError(
            "A numpy array of objects arrived in an environment without numpy. Add numpy to it."
        )
    array = numpy.empty(len(elements), dtype=object)
    for index, element in enumerate(elements):
        array[index] = element
    return array.reshape(shape)


def build_part(entry: Sequence[Any], buffer: Any, offset: int, size_bytes: int) -> Any:
    """The array, tensor or memoryview of a table entry; writable, and nobody else's. Raises DecodeError."""
    code, _, shape, _, _, first_byte, _ = entry
    if code == TypeCode.BUFFER:
        return memoryview(b"" if buffer is None else buffer).cast("B")[offset : offset + size_bytes]
    shape = [int(length) for length in shape]
    if first_byte < 0 or min(shape, default=0) < 0:
        raise DecodeError(f"No array has shape {shape} and begins at byte {first_byte}")
    for name in ("torch", "numpy") if code == TypeCode.TENSOR else ("numpy", "torch"):
        library = libraries.obtain(name)
        if library is None:
            continue
        build = as_tensor if name == "torch" else _as_array
        return build(library, entry, shape, buffer, offset, size_bytes)
    raise DecodeError(
        f"A {'tensor' if code == TypeCode.TENSOR else 'numpy array'} of shape {tuple(shape)} arrived in an environment "
        "that has neither torch nor numpy. Add one of them to the pack's comfy-env.toml, for example "
        '[pypi-dependencies] numpy = "*".'
    )


def buffer_part(view: memoryview) -> Part:
    """The bytes of a contiguous buffer."""
    part = Part(TypeCode.BUFFER, None, [view.nbytes], view.nbytes, view.nbytes)
    part.view = view.cast("B")
    return part


def _numpy_part(numpy: Any, value: Any) -> Part | None:
    if type(value) not in (numpy.ndarray, numpy.memmap):
        return None  # masked arrays, matrices and the like have meaning beyond their bytes
    dtype = value.dtype
    if dtype.itemsize == 0 or not (dtype.kind in KINDS or _is_record(dtype)):
        return None
    if not value.flags.writeable and 0 in value.strides:
        value = value.copy()  # broadcast: one element seen in many places, which a writable array must not be
    low, high = (
        numpy.lib.array_utils.byte_bounds(value)
        if hasattr(numpy.lib, "array_utils")
        else numpy.byte_bounds(value)
    )
    spelling = numpy.lib.format.dtype_to_descr(dtype) if _is_record(dtype) else dtype.str
    part = Part(TypeCode.ARRAY, spelling, value.shape, high - low if value.size else 0, value.nbytes)
    part.address = low
    part.first_byte = value.__array_interface__["data"][0] - low
    part.owner = part.keepalive = value
    if not value.flags.c_contiguous:
        part.strides = [stride // dtype.itemsize for stride in value.strides]
        if any(stride % dtype.itemsize for stride in value.strides):
            return _numpy_part(numpy, value.copy())  # a field of a record array
        part.compact = lambda address: numpy.copyto(_at(numpy, address, value), value)
    return part


def _is_record(dtype: Any) -> bool:
    return dtype.kind == "V" and dtype.names is not None and not dtype.hasobject


def _at(numpy: Any, address: int, like: Any) -> Any:
    """An array of the same shape and dtype over memory elsewhere."""
    return numpy.ndarray(like.shape, like.dtype, (ctypes.c_ubyte * like.nbytes).from_address(address))


def _as_array(
    numpy: Any, entry: Sequence[Any], shape: list[int], buffer: Any, offset: int, size_bytes: int
) -> Any:
    _, dtype, _, strides, _, first_byte, extra = entry
    is_bfloat16 = dtype == "bfloat16"
    kind = numpy.dtype("<u2" if is_bfloat16 else _numpy_dtype(numpy, dtype))
    if kind.hasobject or "quantised" in (extra or {}):
        raise DecodeError(f"An array of dtype {dtype!r} cannot be built without the library it is of")
    if buffer is None:
        if 0 not in shape:
            raise DecodeError(f"An array of shape {shape} arrived without its bytes")
        return numpy.empty(shape, kind)
    steps = None if strides is None else [stride * kind.itemsize for stride in strides]
    region = memoryview(buffer).cast("B")[offset : offset + size_bytes]
    # This constructor checks that shape and strides stay inside the region.
    array = numpy.ndarray(shape, kind, region, first_byte, steps)
    # bfloat16 is the upper half of a float32.
    return (array.astype(numpy.uint32) << 16).view(numpy.float32) if is_bfloat16 else array


def _numpy_dtype(numpy: Any, dtype: Any) -> Any:
    """numpy's dtype of a spelling of either library."""
    if isinstance(dtype, list):
        return numpy.lib.format.descr_to_dtype(_descr(dtype))
    if dtype[:1] in "<>|=":
        return dtype
    if dtype.startswith(
        ("float8", "complex32", "qint", "quint", "bits", "float4", "uint1", "uint2", "uint3")
    ):
        raise DecodeError(
            f"A torch tensor of dtype {dtype} arrived in an environment without torch, and numpy has no such type. "
            "Add torch to the pack's comfy-env.toml, or convert the tensor to float32 before this node."
        )
    return TORCH_TO_NUMPY.get(dtype, dtype)


def _descr(fields: list[Any]) -> list[Any]:
    """numpy wants tuples where msgpack gives lists."""
    return [
        (
            tuple(name) if isinstance(name, list) else name,
            _descr(kind) if isinstance(kind, list) else kind,
            *map(tuple, rest),
        )
        for name, kind, *rest in fields
    ]
