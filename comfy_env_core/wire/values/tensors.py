"""torch tensors as bytes, without torch's own shared memory: any torch reads what any other wrote.

What is not bytes travels in `extra`: `device` ("cuda:0": put there again if the receiver has such a device; "meta": no
bytes at all), `grad` (a leaf that required gradients does so again), `parameter`, `quantised` (scale and zero point,
or those of each channel with the axis). A tensor arrives without gradient history and not in pinned memory. Sparse,
nested and other subclasses stay where they are.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from comfy_env_core.wire.errors import DecodeError
from comfy_env_core.wire.values.regions import Part
from comfy_env_core.wire.values.types import TypeCode


def tensor_part(torch: Any, value: Any) -> Part | None:
    """The bytes of a tensor, None if it has a meaning beyond bytes that `extra` cannot say.

    Those of a tensor on a device are there when `stage` was called, if they have to be.
    """
    if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided:
        return None
    extra = None if value.is_nested or not _is_backed(value) else _extra(torch, value)
    if extra is None:
        return None
    part = Part(TypeCode.TENSOR, _name(value.dtype), value.shape, 0, 0)
    part.extra = extra or None
    part.keepalive = value
    if value.device.type in ("cpu", "meta"):
        _locate(torch, part, value.detach())
    else:
        part.stage = lambda: _locate(torch, part, value.detach().cpu())
    return part


def _locate(torch: Any, part: Part, tensor: Any) -> None:
    """Say where the bytes are: those of `tensor`, which is not on a device."""
    resolved = tensor.resolve_conj().resolve_neg()
    item_bytes = resolved.element_size()
    shape, strides = list(resolved.shape), list(resolved.stride())
    if resolved.numel() and resolved.device.type != "meta":
        part.dense_bytes = resolved.numel() * item_bytes
        part.size_bytes = item_bytes * (1 + sum((length - 1) * step for length, step in zip(shape, strides)))
        part.address = resolved.data_ptr()
    # A copy that was made for this message is never sent again.
    part.owner = part.keepalive if resolved is tensor and _may_watch(torch, part.keepalive) else None
    part.keepalive = resolved
    if not resolved.is_contiguous():
        part.strides = strides
        part.compact_strides = dense = _dense_strides(shape, strides)
        part.compact = lambda address: _shaped(_at(torch, address, resolved), dense).copy_(_stored(resolved))


def as_tensor(
    torch: Any, entry: Sequence[Any], shape: list[int], buffer: Any, offset: int, size_bytes: int
) -> Any:
    """The tensor of a table entry. Raises DecodeError, or what torch raises for an impossible shape.

    It is an ordinary tensor in inference mode, too: what is decoded there may be used outside.
    """
    _, dtype, _, strides, _, first_byte, extra = entry
    extra = extra or {}
    with torch.inference_mode(False):
        kind = _kind(torch, dtype)
        if extra.get("device") == "meta":
            tensor = torch.empty_strided(shape, strides or _c_order(shape), dtype=kind, device="meta")
        elif buffer is None:
            if 0 not in shape:
                raise DecodeError(f"A tensor of shape {shape} arrived without its bytes")
            tensor = torch.empty(shape, dtype=_storable(torch, kind))
        else:
            item_bytes = _item_bytes(torch, kind)
            whole = size_bytes - size_bytes % item_bytes
            flat = torch.frombuffer(buffer, dtype=torch.uint8, offset=offset, count=whole)
            tensor = shape_bytes(torch, flat, kind, shape, strides, first_byte)
        return with_extra(torch, tensor, extra)


def as_device_tensor(torch: Any, flat: Any, entry: Sequence[Any]) -> Any:
    """The tensor of a table entry whose bytes are on a device already, as a tensor of uint8. Raises as `as_tensor`."""
    _, dtype, shape, strides, _, first_byte, extra = entry
    with torch.inference_mode(False):
        return with_extra(
            torch, shape_bytes(torch, flat, _kind(torch, dtype), shape, strides, first_byte), extra
        )


def _kind(torch: Any, dtype: Any) -> Any:
    kind = getattr(torch, _torch_dtype(dtype), None)
    if not isinstance(kind, torch.dtype):
        raise DecodeError(
            f"This environment's torch {torch.__version__} has no dtype {dtype!r}; a newer one may."
        )
    return kind


def _is_backed(value: Any) -> bool:
    """Whether memory is behind all of it: a storage can be resized to nothing and the tensor keeps its shape."""
    if not value.numel() or value.device.type != "cpu":
        return True
    last = sum((length - 1) * step for length, step in zip(value.shape, value.stride()))
    end = (value.storage_offset() + last + 1) * value.element_size()
    return bool(value.untyped_storage().nbytes() >= end)


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


def shape_bytes(
    torch: Any, flat: Any, kind: Any, shape: list[int], strides: list[int] | None, first_byte: int
) -> Any:
    """Elements of a dtype over a tensor of uint8."""
    item_bytes = _item_bytes(torch, kind)
    if first_byte % item_bytes:
        raise DecodeError(f"A tensor of {item_bytes} bytes an element cannot begin at byte {first_byte}")
    flat = flat.view(_storable(torch, kind))
    first = first_byte // item_bytes
    # as_strided checks that shape and strides stay inside the storage, view that they fill it.
    if strides is None and not first and flat.numel() == _product(shape):
        return flat.view(shape)
    return flat.as_strided(shape, _c_order(shape) if strides is None else strides, first)


def with_extra(torch: Any, tensor: Any, extra: dict[str, Any]) -> Any:
    """The tensor with what `extra` says of it."""
    if "quantised" in extra:
        tensor = _quantise(torch, tensor, extra["quantised"])
    device = str(extra.get("device", "cpu"))
    if device.startswith("cuda") and torch.cuda.is_available():
        index = torch.device(device).index or 0
        tensor = tensor.to(torch.device("cuda", index if index < torch.cuda.device_count() else 0))
    elif device.startswith("mps") and torch.backends.mps.is_available():
        tensor = tensor.to("mps")
    if extra.get("parameter"):
        return torch.nn.Parameter(tensor, requires_grad=bool(extra.get("grad")))
    return tensor.requires_grad_() if extra.get("grad") else tensor


def _quantise(torch: Any, tensor: Any, values: Sequence[Any]) -> Any:
    if len(values) == 2:
        return torch._make_per_tensor_quantized_tensor(tensor, *values)
    scales, zero_points, axis = values
    # torch reads them without looking how many there are.
    if not 0 <= axis < tensor.dim() or not len(scales) == len(zero_points) == tensor.shape[axis]:
        raise DecodeError(
            f"A tensor of shape {list(tensor.shape)} has {len(scales)} scales and {len(zero_points)} zero points "
            f"along axis {axis}"
        )
    return torch._make_per_channel_quantized_tensor(
        tensor, torch.tensor(scales, dtype=torch.float64), torch.tensor(zero_points), axis
    )


def _item_bytes(torch: Any, kind: Any) -> int:
    """The size of an element; dtypes do not tell it before torch 2.1."""
    size = getattr(kind, "itemsize", None)
    return size if size is not None else int(torch.empty(0, dtype=_storable(torch, kind)).element_size())


def _stored(tensor: Any) -> Any:
    """The integers that a quantised tensor holds; of others the tensor."""
    return tensor.int_repr() if tensor.is_quantized else tensor


def _storable(torch: Any, kind: Any) -> Any:
    """What quantised numbers are stored as."""
    stored = {"qint8": torch.int8, "quint8": torch.uint8, "qint32": torch.int32}
    return stored.get(_name(kind), kind)


def _at(torch: Any, address: int, like: Any) -> Any:
    """A tensor of the same shape and numbers, in C order, over memory elsewhere."""
    size_bytes = like.numel() * like.element_size()
    flat = torch.frombuffer((ctypes.c_ubyte * size_bytes).from_address(address), dtype=torch.uint8)
    return flat.view(_storable(torch, like.dtype)).view(like.shape)


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


def _dense_strides(shape: list[int], strides: list[int]) -> list[int] | None:
    """The same order of axes without gaps, None for C order: torch chooses its algorithms by it, and with them the last
    bits of the result."""
    if any(step == 0 and length > 1 for length, step in zip(shape, strides)):
        return None
    axes = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    if axes == list(range(len(shape))):
        return None
    dense = [1] * len(shape)
    step = 1
    for axis in reversed(axes):
        dense[axis] = step
        step *= max(shape[axis], 1)
    return dense


def _shaped(tensor: Any, strides: list[int] | None) -> Any:
    return tensor if strides is None else tensor.as_strided(tensor.shape, strides)


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
