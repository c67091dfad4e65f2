"""An object of one environment that another could neither take over nor reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from comfy_env_core.wire.errors import ForeignHandle
from comfy_env_core.wire.objects.handles import Borrowed
from comfy_env_core.wire.objects.operations import is_dunder
from comfy_env_core.wire.objects.specials import SPECIALS, split_type_name

if TYPE_CHECKING:
    from comfy_env_core.wire.objects.handles import BorrowedObjects


class ForeignObject(Borrowed):
    """Passes through this process and is the object itself again at home; used here it explains why it cannot be.

    `origin` and `here` name the two environments, `reason` says in a sentence what prevents a copy ("the module
    'trimesh' is not installed in worker paint"). Comparison and hash are by identity, so it can be cached.
    """

    __slots__ = ("_handle", "_here", "_origin", "_reason", "_type_name")

    def __init__(
        self, borrowed: BorrowedObjects, key: int, type_name: str, *, origin: str, here: str, reason: str
    ) -> None:
        super().__init__(borrowed, key)
        self._handle: Any = None
        self._type_name = type_name
        self._origin = origin
        self._here = here
        self._reason = reason

    @classmethod
    def instead_of(cls, handle: Any, *, origin: str, here: str, reason: str) -> ForeignObject:
        """What stands for the object of a handle from now on; the handle stays, and so the loan of it."""
        type_name = type(handle).__comfy_env_type__
        foreign = cls(handle._borrowed, handle._key, type_name, origin=origin, here=here, reason=reason)
        foreign._handle = handle
        return foreign

    def __repr__(self) -> str:
        return f"<{self._type_name} of {self._origin}, not usable in {self._here}>"

    def __getattr__(self, name: str) -> NoReturn:
        if is_dunder(name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise explain(self, f"its attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _LOCAL_NAMES:
            raise explain(self, f"to set its attribute {name!r}")
        object.__setattr__(self, name, value)

    def __copy__(self) -> ForeignObject:
        return self

    def __deepcopy__(self, memo: object) -> ForeignObject:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise explain(self, "its content, to pickle it")


def explain(foreign: ForeignObject, wanted: str) -> ForeignHandle:
    """The error for a use of the object; `wanted` says what of it was asked for."""
    module, qualname = split_type_name(foreign._type_name)
    package = module.partition(".")[0]
    return ForeignHandle(
        f"Something in {foreign._here} needs {wanted}, but the object is a {foreign._type_name} that lives in "
        f"{foreign._origin}, and there is no copy of it here: {foreign._reason.rstrip('.')}. "
        f"Install what provides {package!r} in the environment of {foreign._here} (in that pack's comfy-env.toml, "
        f"in the version of {foreign._origin}), or register a codec for {qualname!r} in the pack's "
        "serialization.py. Passing the object on to other nodes works without either."
    )


def _refusing(special: str) -> Any:
    def method(self: ForeignObject, *arguments: Any, **named: Any) -> NoReturn:
        raise explain(self, special)

    method.__name__ = method.__qualname__ = special
    return method


_LOCAL_NAMES = frozenset((*Borrowed.__slots__, *ForeignObject.__slots__))

for _special in SPECIALS:
    # Identity stays, for caches. A library that sees these would take the object for an array, a path or a function.
    if _special not in {"__hash__", "__eq__", "__ne__", "__array__", "__fspath__", "__name__"}:
        setattr(ForeignObject, _special, _refusing(_special))
