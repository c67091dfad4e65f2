"""What can be done from afar to an object that stayed with its owner.

`perform` runs at the owner. It answers `[outcome, value]`, so that the end of an iteration, a method, and
NotImplemented are answers and not errors; what the object raises is raised. A value is an ordinary value of the wire:
plain data, arrays and everything else in the type table is a copy (changing a list or dict got from an attribute
changes nothing at the owner; assign it back), any other object a handle.

| operation | arguments | does |
|---|---|---|
| `get`, `set`, `delete` | name [, value] | an attribute; dunder names are Python's own and refused |
| `copy`, `deepcopy` | | what the functions of the module `copy` give |
| `edit` | name, path, method, [positional], {named} | changes the list or dict at `path` in an attribute |
| `method` | name, [positional], {named} | calls the attribute of that name |
| `method_attribute` | method name, name | an attribute of a method, such as `cache_clear` |
| `repr`, `str`, `format`, `dir` | format: specification | what Python's functions of that name give |
| a name of `SPECIALS` | as the method takes them | the method. `__call__`: [positional], {named} |
| | | `__exit__`: an error as `describe_error` gives it, or None |
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping
from types import BuiltinMethodType, FunctionType, MethodType, MethodWrapperType
from typing import Any

from comfy_env_core.wire.errors import WireError
from comfy_env_core.wire.failures import rebuild_error
from comfy_env_core.wire.objects.live_containers import edit_container
from comfy_env_core.wire.objects.specials import SPECIALS

VALUE = 0  # value: the result
METHOD = 1  # value: None. The attribute is a method for all objects of this class; call it by its name
END = 2  # value: that of the StopIteration
UNDEFINED = 3  # value: None. The result is NotImplemented

_METHOD = object()
_BOUND = (MethodType, BuiltinMethodType, MethodWrapperType)


def perform(target: object, operation: str, arguments: list[Any]) -> Any:
    """`[outcome, value]` of an operation on `target`, see the table above.

    Raises what the object raises, and WireError if there is no such operation or name.
    """
    action = _ACTIONS.get(operation)
    if action is None:
        raise WireError(
            f"{operation!r} was asked of a {type(target).__qualname__}, and is no operation of this version. "
            "Both processes must run the same version of comfy-env manager."
        )
    try:
        result = action(target, *arguments)
    except StopIteration as end:
        return [END, end.value]
    if result is _METHOD:
        return [METHOD, None]
    if result is NotImplemented:
        return [UNDEFINED, None]
    return [VALUE, result]


def is_dunder(name: str) -> bool:
    """Whether a name is of the kind that Python and libraries keep for themselves."""
    return name.startswith("__") and name.endswith("__")


def _get(target: Any, name: str) -> Any:
    value = getattr(target, _permitted(target, name))
    return _METHOD if _is_method_of_class(target, name, value) else value


def _permitted(target: object, name: str) -> str:
    # Through __globals__, __subclasses__ and the like an object leads to everything else in its process.
    if not isinstance(name, str) or is_dunder(name):
        raise WireError(f"{name!r} of a {type(target).__qualname__} cannot be used from another process")
    return name


def _is_method_of_class(target: object, name: str, value: object) -> bool:
    """Whether `name` is a method of every object of that class: not of an instance alone, a class or a module."""
    if name in getattr(target, "__dict__", ()):
        return False
    if isinstance(value, _BOUND):
        return value.__self__ is target or value.__self__ is type(target)
    return isinstance(value, FunctionType) and isinstance(_found_on(type(target), name), staticmethod)


def _found_on(kind: type, name: str) -> object:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _set(target: object, name: str, value: object) -> None:
    setattr(target, _permitted(target, name), value)


def _delete(target: object, name: str) -> None:
    delattr(target, _permitted(target, name))


def _edit(target: Any, name: str, path: list[Any], method: str, positional: list[Any], named: Any) -> None:
    edit_container(getattr(target, _permitted(target, name)), path, method, positional, named)


def _call(target: Any, positional: list[Any], named: Mapping[str, Any]) -> Any:
    return target(*positional, **named)


def _call_method(target: Any, name: str, positional: list[Any], named: Mapping[str, Any]) -> Any:
    return getattr(target, _permitted(target, name))(*positional, **named)


def _get_of_method(target: Any, method: str, name: str) -> Any:
    function = getattr(target, _permitted(target, method))
    return getattr(function, _permitted(function, name))


def _exit(target: Any, described: dict[str, Any] | None) -> bool:
    if described is None:
        return bool(type(target).__exit__(target, None, None, None))
    error = rebuild_error(described)
    return bool(type(target).__exit__(target, type(error), error, error.__traceback__))


def _special(name: str) -> Callable[..., Any]:
    """The method as the class has it: an operator would try the other operand, which the caller does itself."""

    def action(target: Any, *arguments: Any) -> Any:
        return getattr(type(target), name)(target, *arguments)

    return action


_ACTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: _special(name) for name in SPECIALS},
    "__bool__": bool,
    "__call__": _call,
    "__contains__": operator.contains,
    "__exit__": _exit,
    "__hash__": hash,
    "__iter__": iter,
    "__len__": len,
    "__name__": lambda target: target.__name__,
    "__next__": next,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "delete": _delete,
    "dir": dir,
    "edit": _edit,
    "format": format,
    "get": _get,
    "method": _call_method,
    "method_attribute": _get_of_method,
    "repr": repr,
    "set": _set,
    "str": str,
}
