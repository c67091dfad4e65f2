"""What is taken out of a pickle and travels beside it: arrays, tensors, images, in segments and in their own form.

That is fast, works between any two versions of numpy, torch and Pillow, and spares the receiver the functions by which
these libraries rebuild their data, some of which load files or run code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from comfy_env_core.wire.values import libraries

ARRAY = "array"  # also a numpy scalar
TENSOR = "tensor"
STORAGE = "storage"  # of torch, as a tensor of its bytes
TYPED_STORAGE = "typed storage"  # the same; the dtype's name is beside it
IMAGE = "image"
OBJECT = "object"  # what only the codec of the wire can send: a handle, a parcel
CONSTANT = "constant"  # of torch, by name and without a part: some of torch's own pickles of them do not load
KINDS = frozenset({ARRAY, TENSOR, STORAGE, TYPED_STORAGE, IMAGE, OBJECT, CONSTANT})
#: Kinds that the codec of the wire sends by value wherever they stand.
BY_VALUE = frozenset({ARRAY, TENSOR, IMAGE})

#: Kinds of dtype whose elements are bytes without meaning to Python. "O" and "V" are not.
ARRAY_KINDS = "?biufcmMSU"

_NO_PARTS = frozenset({type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, type})


def part_kind(value: Any) -> str | None:
    """Which kind of part a value is, or None if it belongs into the pickle. Imports nothing."""
    if type(value) in _NO_PARTS:
        return None
    numpy = libraries.loaded("numpy")
    if numpy is not None and (type(value) is numpy.ndarray or issubclass(type(value), numpy.generic)):
        return ARRAY if value.dtype.kind in ARRAY_KINDS and value.dtype.itemsize else None
    torch = libraries.loaded("torch")
    if torch is not None and hasattr(torch, "UntypedStorage"):
        kind = _torch_kind(torch, value)
        if kind is not None:
            return kind
    image = libraries.loaded("PIL.Image")
    return IMAGE if image is not None and issubclass(type(value), image.Image) else None


def _torch_kind(torch: Any, value: Any) -> str | None:
    kind = type(value)
    if kind is torch.Tensor:
        is_plain = value.layout is torch.strided and not value.is_meta and not value.is_nested
        return TENSOR if is_plain and not vars(value) else None  # attributes set on it are kept by the pickle
    if kind is torch.UntypedStorage:
        return STORAGE
    if kind is torch.TypedStorage:
        return TYPED_STORAGE
    return CONSTANT if kind in (torch.dtype, torch.layout, torch.memory_format, torch.qscheme) else None


class OutgoingParts:
    """The parts of one pickle, each once however often it is met."""

    def __init__(self, is_object: Callable[[object], bool]) -> None:
        self.parts: list[Any] = []
        self.latest: Any = (
            None  # what was asked about last: if pickling fails, it is this that cannot be pickled
        )
        self._is_object = is_object
        self._seen: dict[
            int, tuple[Any, tuple[str, int, Any]]
        ] = {}  # id -> (what keeps the id taken, reference)

    def refer(self, value: Any) -> tuple[str, int, Any] | None:
        """(kind, index, detail) that stands in the pickle for the value, or None if it goes into the pickle."""
        self.latest = value
        kind = part_kind(value) or (OBJECT if self._is_object(value) else None)
        if kind is None:
            return None
        seen = self._seen.get(id(value))
        if kind == CONSTANT:
            return kind, 0, str(value).rpartition(".")[2]
        if seen is None:
            part, detail = _PACK[kind](value)
            seen = self._seen[id(value)] = value, (kind, len(self.parts), detail)
            self.parts.append(part)
        return seen[1]


def _pack_as_is(value: Any) -> tuple[Any, None]:
    return value, None


def _pack_tensor(tensor: Any) -> tuple[Any, bool]:
    return tensor.detach(), bool(tensor.requires_grad)


def _pack_storage(storage: Any) -> tuple[Any, str]:
    torch = libraries.loaded("torch")
    assert torch is not None  # the storage is of its types
    untyped = storage if type(storage) is torch.UntypedStorage else storage._untyped_storage
    as_bytes = torch.empty(0, dtype=torch.uint8, device=untyped.device).set_(untyped)
    dtype = str(getattr(storage, "dtype", torch.uint8)).rpartition(".")[2]
    return as_bytes, dtype


_PACK: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    ARRAY: _pack_as_is,
    IMAGE: _pack_as_is,
    OBJECT: _pack_as_is,
    TENSOR: _pack_tensor,
    STORAGE: _pack_storage,
    TYPED_STORAGE: _pack_storage,
}


class IncomingParts:
    """The parts that arrived beside a pickle."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts
        self._built: dict[tuple[str, int], Any] = {}

    def take(self, reference: Any) -> Any:
        """What a reference stands for; the same object each time. Raises ValueError if it is damaged."""
        kind, index, detail = reference
        if kind == CONSTANT:
            return _torch_constant(str(detail))
        if kind not in KINDS or not isinstance(index, int) or not 0 <= index < len(self._parts):
            raise ValueError(f"The pickle refers to a part that did not arrive: {reference!r}")
        key = kind, index
        if key not in self._built:
            self._built[key] = _build(kind, self._parts[index], detail)
        return self._built[key]


def _build(kind: str, part: Any, detail: Any) -> Any:
    torch = libraries.loaded("torch")
    if torch is None or type(part) is not torch.Tensor:
        if kind in (STORAGE, TYPED_STORAGE):
            raise ModuleNotFoundError("the data belong to torch, which is not installed", name="torch")
        return part
    if kind == TENSOR and detail and not part.requires_grad:
        return part.requires_grad_()
    if kind == STORAGE:
        return part.untyped_storage()
    if kind == TYPED_STORAGE:
        dtype = _torch_constant(str(detail))
        return torch.TypedStorage(wrap_storage=part.untyped_storage(), dtype=dtype, _internal=True)
    return part


def _torch_constant(name: str) -> Any:
    torch = libraries.obtain("torch")
    if torch is None:
        raise ModuleNotFoundError("the data belong to torch, which is not installed", name="torch")
    found = vars(torch).get(name)
    if type(found) not in (torch.dtype, torch.layout, torch.memory_format, torch.qscheme):
        raise ValueError(f"torch {torch.__version__} has no constant {name!r}")
    return found
