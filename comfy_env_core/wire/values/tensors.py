"""torch tensors as bytes, without torch's own shared memory: any torch reads what any other wrote.

What is not bytes travels in `extra`: `device` ("cuda:0": put there again if the receiver has such a device; "meta": no
bytes at all), `grad` (a leaf that required gradients does so again), `parameter`, `quantised` (scale and zero point,
or those of each channel with the axis). A tensor arrives without gradient history and not in pinned memory. Sparse,
nested and other subclasses stay where they are.
"""

from __future__ import annotations

import ctypes
from typing import Any

from comfy_env_core.wire.errors import DecodeError
from comfy_env_core.wire.values.regions import Part
from comfy_env_core.wire.values.types import TypeCode


def tensor_part(torch: Any, value: Any) -> Part | None:
    """The bytes of a tensor, None if it has a meaning beyond bytes that `extra` cannot say."""
    if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided:
        return None
    extra = _extra(torch, value)
    if extra is None:
        return None
    tensor = value.detach()
    if tensor.device.type not in ("cpu", "meta"):
        tensor = tensor.cpu()
    tensor = tensor.resolve_conj().resolve_neg()
    item_bytes = tensor.element_size()
    shape, strides = list(tensor.shape), list(tensor.stride())
    dense_bytes = tensor.numel() * item_bytes
    has_bytes = dense_bytes and tensor.device.type != "meta"
    span = 1 + sum((length - 1) * stride for length, stride in zip(shape, strides)) if has_bytes else 0
    part = Part(TypeCode.TENSOR, _name(tensor.dtype), shape, span * item_bytes, dense_bytes)
    part.extra = extra or None
    part.keepalive = tensor
    part.owner = value if _may_watch(torch, value) else None
    part.address = tensor.data_ptr() if has_bytes else 0
    if not tensor.is_contiguous():
        part.strides = strides
        part.compact = lambda address: _at(torch, address, tensor).copy_(tensor)
    return part


def as_tensor(
    torch: Any,
    dtype: Any,
    shape: list[int],
    strides: list[int] | None,
    buffer: Any,
    offset: int,
    size_bytes: int,
    first_byte: int,
    extra: dict[str, Any],
) -> Any:
    """The tensor of a table entry. Raises DecodeError, or what torch raises for an impossible shape."""
    kind = getattr(torch, _torch_dtype(dtype), None)
    if not isinstance(kind, torch.dtype):
        raise DecodeError(
            f"This environment's torch {torch.__version__} has no dtype {dtype!r}; a newer one may."
        )
    if extra.get("device") == "meta":
        tensor = torch.empty_strided(shape, strides or _c_order(shape), dtype=kind, device="meta")
    elif buffer is None:
        if 0 not in shape:
            raise DecodeError(f"A tensor of shape {shape} arrived without its bytes")
        tensor = torch.empty(shape, dtype=kind)
    else:
        tensor = _over_memory(torch, kind, shape, strides, buffer, offset, size_bytes, first_byte)
    return _with_extra(torch, tensor, extra)


def _extra(torch: Any, value: Any) -> dict[str, Any] | None:
    extra: dict[str, Any] = {}
    if value.device.type != "cpu":
        extra["device"] = str(value.device)
    if value.requires_grad and value.is_leaf:
        extra["grad"] = True
    if type(value) is torch.nn.Parameter:
        extra["parameter"] = True
    if value.is_quantized:
        if value.qscheme() == torch.per_tensor_affine:
            extra["quantised"] = [value.q_scale(), value.q_zero_point()]
        elif value.qscheme() == torch.per_channel_affine:
            extra["quantised"] = [
                value.q_per_channel_scales().tolist(),
                value.q_per_channel_zero_points().tolist(),
                value.q_per_channel_axis(),
            ]
        else:
            return None
    return extra


def _may_watch(torch: Any, value: Any) -> bool:
    """Writes by a GPU into pinned memory are not seen by the processor's page tables."""
    if value.device.type != "cpu":
        return False
    return not (torch.cuda.is_initialized() and value.is_pinned())


def _over_memory(
    torch: Any,
    kind: Any,
    shape: list[int],
    strides: list[int] | None,
    buffer: Any,
    offset: int,
    size_bytes: int,
    first_byte: int,
) -> Any:
    item_bytes = kind.itemsize
    if first_byte % item_bytes:
        raise DecodeError(f"A tensor of {item_bytes} bytes an element cannot begin at byte {first_byte}")
    whole = size_bytes - size_bytes % item_bytes
    flat = torch.frombuffer(buffer, dtype=torch.uint8, offset=offset, count=whole).view(
        _storable(torch, kind)
    )
    first = first_byte // item_bytes
    # as_strided checks that shape and strides stay inside the storage, view that they fill it.
    if strides is None and not first and flat.numel() == _product(shape):
        tensor = flat.view(shape)
    else:
        tensor = flat.as_strided(shape, _c_order(shape) if strides is None else strides, first)
    return tensor


def _with_extra(torch: Any, tensor: Any, extra: dict[str, Any]) -> Any:
    if "quantised" in extra:
        values = extra["quantised"]
        if len(values) == 2:
            tensor = torch._make_per_tensor_quantized_tensor(tensor, *values)
        else:
            scales, zero_points, axis = values
            tensor = torch._make_per_channel_quantized_tensor(
                tensor, torch.tensor(scales, dtype=torch.float64), torch.tensor(zero_points), axis
            )
    device = str(extra.get("device", "cpu"))
    if device.startswith("cuda") and torch.cuda.is_available():
        index = torch.device(device).index or 0
        tensor = tensor.to(torch.device("cuda", index if index < torch.cuda.device_count() else 0))
    if extra.get("parameter"):
        return torch.nn.Parameter(tensor, requires_grad=bool(extra.get("grad")))
    return tensor.requires_grad_() if extra.get("grad") else tensor


def _storable(torch: Any, kind: Any) -> Any:
    """What quantised numbers are stored as."""
    stored = {"qint8": torch.int8, "quint8": torch.uint8, "qint32": torch.int32}
    return stored.get(_name(kind), kind)


def _at(torch: Any, address: int, like: Any) -> Any:
    """A tensor of the same shape and dtype, in C order, over memory elsewhere."""
    size_bytes = like.numel() * like.element_size()
    flat = torch.frombuffer((ctypes.c_ubyte * size_bytes).from_address(address), dtype=torch.uint8)
    return flat.view(like.dtype).view(like.shape)


def _name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def _torch_dtype(name: Any) -> str:
    """torch's name of a numpy dtype such as "<f4"; torch's own names come back unchanged."""
    if isinstance(name, str) and name[:1] not in "<>|=":
        return name
    kind, size = name[1:2], name[2:]
    stem = (
        {"f": "float", "i": "int", "u": "uint", "c": "complex"}.get(kind) if isinstance(name, str) else None
    )
    if name[0] == ">" or (stem is None and kind != "b"):
        raise DecodeError(
            f"A numpy array of dtype {name!r} arrived in an environment without numpy. "
            "Add numpy to the pack's comfy-env.toml."
        )
    return "bool" if stem is None else f"{stem}{int(size) * 8}"


def _c_order(shape: list[int]) -> list[int]:
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    return strides


def _product(shape: list[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product
