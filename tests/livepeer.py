"""Live handles without a connection: an owner of objects in this process, and objects to lend."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from comfy_env_core.wire.failures import describe_error, rebuild_error
from comfy_env_core.wire.objects.handles import BorrowedObjects
from comfy_env_core.wire.objects.live import Handle
from comfy_env_core.wire.objects.operations import perform
from comfy_env_core.wire.objects.specials import specials_of, type_name_of

BY_VALUE = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, slice, range, numpy.ndarray)


class Peer:
    """The owner of objects and the way to them: values are copied as the wire would, objects become handles."""

    def __init__(self) -> None:
        self.borrowed = BorrowedObjects("worker mesh-pack")
        self.borrowed.use = self.use
        self.objects: dict[int, Any] = {}
        self.operations: list[str] = []
        self.failure: Exception | None = None

    def lend(self, value: Any) -> Any:
        self.objects[id(value)] = value
        kind = type(value)
        return self.borrowed.borrow(
            id(value), lambda: Handle(self.borrowed, id(value), type_name_of(kind), specials_of(kind))
        )

    def use(self, handle: Handle, operation: str, *arguments: Any) -> Any:
        self.operations.append(operation)
        if self.failure is not None:
            raise self.failure
        try:
            target = self.objects[handle._key]
            return self.send(perform(target, operation, [self.receive(item) for item in arguments]))
        except Exception as error:  # noqa: BLE001  # what crosses the wire
            raise rebuild_error(describe_error(error)) from None

    def send(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)(self.send(item) for item in value)
        return copy.deepcopy(value) if isinstance(value, BY_VALUE) else self.lend(value)

    def receive(self, value: Any) -> Any:
        if issubclass(type(value), Handle):
            return self.objects[value._key]
        if type(value) in (list, tuple):
            return type(value)(self.receive(item) for item in value)
        return (
            copy.deepcopy(value)
            if type(value) is not dict
            else {k: self.receive(v) for k, v in value.items()}
        )

    def cost(self, action: Callable[[], Any]) -> int:
        """How many round trips it takes."""
        before = len(self.operations)
        action()
        return len(self.operations) - before


class Mesh:
    """A plain object."""

    unit = "mm"

    def __init__(self, vertices: int = 8) -> None:
        self.vertices = vertices
        self.tags = ["a"]

    def scale(self, factor: float, *, about: int = 0) -> float:
        self.vertices = int(self.vertices * factor)
        return self.vertices + about

    def itself(self) -> Mesh:
        return self

    @classmethod
    def named(cls) -> str:
        return cls.__name__

    @staticmethod
    def double(value: int) -> int:
        return 2 * value

    def fail(self) -> None:
        raise KeyError("no face 7")

    def __repr__(self) -> str:
        return f"Mesh of {self.vertices}"


class Vector:
    """Has nearly every special method."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *items: int) -> None:
        self.items = list(items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and self.items == other.items

    def __lt__(self, other: Vector) -> bool:
        return self.items < other.items

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[int]:
        yield from self.items

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __setitem__(self, index: int, value: int) -> None:
        self.items[index] = value

    def __delitem__(self, index: int) -> None:
        del self.items[index]

    def __contains__(self, item: int) -> bool:
        return item in self.items

    def __bool__(self) -> bool:
        return False

    def __add__(self, other: Any) -> Any:
        return Vector(*(x + other for x in self.items)) if isinstance(other, int) else NotImplemented

    __radd__ = __add__

    def __iadd__(self, other: Any) -> Any:
        self.items.append(other)
        return self

    def __neg__(self) -> Vector:
        return Vector(*(-x for x in self.items))

    def __call__(self, *items: int, sign: int = 1) -> int:
        return sign * sum(items)

    def __int__(self) -> int:
        return 3

    def __float__(self) -> float:
        return 0.5

    def __index__(self) -> int:
        return 1

    def __round__(self, digits: int = 0) -> int:
        return digits

    def __format__(self, specification: str) -> str:
        return f"{len(self.items)}:{specification}"

    def __str__(self) -> str:
        return "vector"

    def __reversed__(self) -> Iterator[int]:
        return reversed(self.items)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return numpy.array(self.items)
