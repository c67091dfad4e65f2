"""An object that lives in another process, and can be used from here.

Cost in round trips to the owner (a small call each; what is sent and returned comes on top):

| what | round trips |
|---|---|
| pass it on, keep it, compare by `is`, `hash`, `isinstance`, `callable`, `type(h).__name__` | 0 |
| `copy.copy(h)`, `copy.deepcopy(h)` | 0 and the same object; 1 and a copy there for a class of ComfyUI's |
| `h.name`, `h.name = value`, `del h.name`, `hasattr(h, "name")` | 1 |
| `h.method(...)` | 2 the first time for each class, then 1 |
| `h.method` without a call | 1 the first time for each class, then 0 |
| `h(...)`, `h[i]`, `h[i] = v`, `len(h)`, `bool(h)`, `x in h`, `h + x`, `h < x`, `repr(h)`, `str(h)`, `dir(h)` | 1 |
| `h == x` | 1 if the class defines it, else 0 (identity) |
| `for x in h` | 2 + number of items; `list(h)` one more where it has a length |
| `with h:` | 2 |
| a special method the class does not have, a dunder name, `_ipython_…` and `_repr_…` | 0 |

What comes back is a value of the wire: an array or tensor shares no memory with the owner's, a list or dict is a copy,
but what is changed in one that is an attribute of a class of ComfyUI's is changed at the owner, too (1 trip each).
Hashing is by identity, also for classes that define their own. Once a name was a method for one object of a class it is
taken for one for all of them; `h.name` of an object that hides it behind an attribute of its own gives that method.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from comfy_env_core.wire.errors import DeadHandle, NotHere, PeerGone
from comfy_env_core.wire.failures import describe_error
from comfy_env_core.wire.objects.handles import Borrowed
from comfy_env_core.wire.objects.live_containers import follow
from comfy_env_core.wire.objects.operations import END, METHOD, UNDEFINED, is_dunder
from comfy_env_core.wire.objects.specials import SPECIALS, split_type_name

if TYPE_CHECKING:
    from comfy_env_core.wire.objects.handles import BorrowedObjects

#: Attributes of the handle itself; everything else is the object's.
LOCAL_NAMES = frozenset(Borrowed.__slots__)
#: Of these a dict or list got from an attribute is kept in step with the owner's (see live_containers.py), and a copy
#: is one: packs copy a model to change it.
COMFYUIS_CLASSES = ("comfy.", "comfy_extras.")
#: Notebooks ask every object they show for these.
PROBES = ("_ipython_", "_repr_")


class Handle(Borrowed):
    """Stands for an object of another process. `issubclass(type(x), Handle)` tells one; `isinstance` may answer
    for the object.

    Made with the owner's record, the object's key, and its class: name (`type_name_of`) and special methods
    (`specials_of`). Every use may raise what the object raises, and DeadHandle when its process is gone.
    """

    __slots__ = ()
    # Set in each class that `_make_class` makes. Dunder names, because all others belong to the object.
    __comfy_env_type__: ClassVar[str]
    __comfy_env_methods__: ClassVar[set[str]]

    def __new__(cls, borrowed: BorrowedObjects, key: int, type_name: str, specials: int) -> Handle:
        kind: type[Handle] = borrowed.handle_classes.get(type_name, specials, _make_class)
        return super().__new__(kind)

    def __init__(self, borrowed: BorrowedObjects, key: int, type_name: str, specials: int) -> None:
        super().__init__(borrowed, key)

    def __getattr__(self, name: str) -> Any:
        if is_dunder(name) or name in LOCAL_NAMES or name.startswith(PROBES):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        methods = type(self).__comfy_env_methods__
        if name in methods:
            return RemoteMethod(self, name)
        outcome, value = _ask(self, "get", name)
        if outcome == METHOD:
            methods.add(name)
            return RemoteMethod(self, name)
        if type(value) in (dict, list) and _is_comfyuis(self):
            return follow(value, functools.partial(use, self, "edit", name))
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if name in LOCAL_NAMES:
            object.__setattr__(self, name, value)
        else:
            use(self, "set", name, value)

    def __delattr__(self, name: str) -> None:
        use(self, "delete", name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The object's own class where it is loaded in this process; makes `isinstance` answer as for the object."""
        return _loaded_class(type(self).__comfy_env_type__) or type(self)

    def __repr__(self) -> str:
        return _text(self, "repr")

    def __str__(self) -> str:
        return _text(self, "str")

    def __format__(self, specification: str) -> str:
        return str(use(self, "format", specification)) if specification else str(self)

    def __dir__(self) -> list[str]:
        return list(use(self, "dir"))

    @classmethod
    def __torch_function__(cls, function: Any, *arguments: Any) -> NoReturn:
        """Torch asks whoever is given to one of its operations as if it were a tensor."""
        raise NotHere(
            f"torch's {getattr(function, '__name__', function)!r} was given a {cls.__comfy_env_type__} that lives in "
            "another process, and works on tensors of its own process only"
        )

    def __copy__(self) -> Any:
        return use(self, "copy") if _is_comfyuis(self) else self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return use(self, "deepcopy") if _is_comfyuis(self) else self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise NotHere(
            f"A {type_name_of_handle(self)} that lives in {self._borrowed.owner} cannot be pickled here: only "
            "its own process can. Save it in a node of that pack, or save the data taken from it."
        )


class RemoteMethod:
    """A method of an object of another process, known by name; calling it is one round trip."""

    __slots__ = ("__name__", "__self__")

    def __init__(self, handle: Handle, name: str) -> None:
        self.__self__ = handle
        self.__name__ = name

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return use(self.__self__, "method", self.__name__, list(positional), named)

    def __getattr__(self, name: str) -> Any:
        if is_dunder(name) or name.startswith(PROBES):
            raise AttributeError(f"'method' object has no attribute {name!r}")
        return use(self.__self__, "method_attribute", self.__name__, name)

    def __eq__(self, other: object) -> Any:
        if type(other) is not RemoteMethod:
            return NotImplemented
        return self.__self__ is other.__self__ and self.__name__ == other.__name__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__name__))

    def __repr__(self) -> str:
        handle = self.__self__
        return f"<method {self.__name__!r} of {type_name_of_handle(handle)} in {handle._borrowed.owner}>"

    def __copy__(self) -> RemoteMethod:
        return self

    def __deepcopy__(self, memo: object) -> RemoteMethod:
        return self

    def __reduce_ex__(self, protocol: object) -> Any:
        return self.__self__.__reduce_ex__(2)


def use(handle: Handle, operation: str, *arguments: Any) -> Any:
    """The value of an operation at the object's owner. Raises what it raises, StopIteration at the end of an
    iteration, and DeadHandle."""
    outcome, value = _ask(handle, operation, *arguments)
    if outcome == END:
        raise StopIteration(value)
    return NotImplemented if outcome == UNDEFINED else value


def type_name_of_handle(handle: Handle) -> str:
    """The name of the object's class, for messages."""
    return type(handle).__comfy_env_type__


def _ask(handle: Handle, operation: str, *arguments: Any) -> Any:
    """`[outcome, value]`, see operations.py."""
    borrowed = handle._borrowed
    if borrowed.end is not None:
        raise _dead(handle, borrowed.end)
    try:
        return borrowed.use(handle, operation, *arguments)
    except PeerGone as error:
        raise _dead(handle, borrowed.end or str(error)) from error


def _is_comfyuis(handle: Handle) -> bool:
    return type(handle).__comfy_env_type__.startswith(COMFYUIS_CLASSES)


def _dead(handle: Handle, reason: str) -> DeadHandle:
    return DeadHandle(
        f"The {type_name_of_handle(handle)} lived in {handle._borrowed.owner}, which has ended ({reason}). "
        "Run the node that made it again."
    )


def _text(handle: Handle, operation: str) -> str:
    stand_in = f"<{type_name_of_handle(handle)} in {handle._borrowed.owner}>"
    if handle._borrowed.end is not None:
        return stand_in
    try:
        return str(use(handle, operation))
    except Exception:  # noqa: BLE001  # foreign code, or the owner is gone: a message about the handle must not fail
        return stand_in


def _loaded_class(type_name: str) -> type | None:
    """The class if its module is loaded here. Looks, and runs nothing: a module may import on `getattr`."""
    module, qualname = split_type_name(type_name)
    found: Any = sys.modules.get(module)
    if found is None or module in ("__main__", "__mp_main__"):  # another program's main module is not ours
        return None
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    # A handle that says it is a class would be taken for one, by `issubclass` and by `inspect`.
    return found if isinstance(found, type) and not issubclass(found, type) else None


def _make_class(type_name: str, specials: int) -> type[Handle]:
    module, qualname = split_type_name(type_name)
    members: dict[str, Any] = {
        "__slots__": (),
        "__module__": module,
        "__qualname__": qualname,
        "__doc__": None,
        "__comfy_env_type__": type_name,
        "__comfy_env_methods__": set(),
    }
    for bit, name in enumerate(SPECIALS):
        if specials >> bit & 1:
            members[name] = _METHODS.get(name) or _forwarding(name)
    # Python sets it to None in every class that defines __eq__.
    members["__hash__"] = members.get("__hash__")
    return type(qualname.rpartition(".")[2], (Handle,), members)


def _forwarding(name: str) -> Callable[..., Any]:
    def method(self: Handle, *arguments: Any) -> Any:
        return use(self, name, *arguments)

    method.__name__ = method.__qualname__ = name
    return method


def _call(self: Handle, *positional: Any, **named: Any) -> Any:
    return use(self, "__call__", list(positional), named)


def _exit(self: Handle, kind: object, error: BaseException | None, trace: object) -> Any:
    return use(self, "__exit__", None if error is None else describe_error(error))


def _array(self: Handle, dtype: Any = None, copy: bool | None = None) -> Any:
    if copy is False:
        raise ValueError(
            f"The array of a {type_name_of_handle(self)} that lives in {self._borrowed.owner} "
            "cannot be had without a copy"
        )
    array = use(self, "__array__")
    return array if dtype is None else array.astype(dtype)


def _name(self: Handle) -> Any:
    return use(self, "__name__")


_METHODS: dict[str, Any] = {
    "__array__": _array,
    "__call__": _call,
    "__exit__": _exit,
    "__hash__": object.__hash__,
    "__name__": property(_name),
}
