"""Instances of classes that both sides have: dataclasses, named tuples, enum members, small types of ComfyUI.

The sender asks the peer once per class (`fingerprint` here, `is_known` there) and sends the attributes; the
receiver makes the instance without running the class's own code, as copying does. Names from the other side are
only looked up among what is loaded here: nothing is imported for them, but for the few modules in IMPORTABLE.

An enum member needs no question: where its class is unknown it arrives as its value.
"""

from __future__ import annotations

import enum
import importlib
import sys
from collections.abc import Iterator, Sequence
from types import MemberDescriptorType
from typing import Any

from comfy_env_core.wire.errors import DecodeError
from comfy_env_core.wire.values import images, libraries
from comfy_env_core.wire.values.payloads import as_attributes, as_list, as_text

# A class of ComfyUI whose module is light (imports nothing), so a receiver that has not loaded it may.
IMPORTABLE = frozenset({("comfy_execution.graph_utils", "ExecutionBlocker")})
# ComfyUI's small classes that are no dataclasses: plain attributes, no resources. Modules as of ComfyUI 0.3.52 to
# 0.3.75, image_types and some of geometry_types later.
KNOWN = IMPORTABLE | {
    ("comfy_api.latest._input_impl.video_types", "VideoFromFile"),
    ("comfy_api.latest._input_impl.video_types", "VideoFromComponents"),
    ("comfy_api.latest._io", "NodeOutput"),
    ("comfy_api.latest._util.geometry_types", "File3D"),
    ("comfy_api.latest._util.geometry_types", "MESH"),
    ("comfy_api.latest._util.geometry_types", "SPLAT"),
    ("comfy_api.latest._util.geometry_types", "VOXEL"),
    ("comfy_api.latest._util.image_types", "SVG"),
}
COPY_METHODS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
# The bits of a Flag are taken apart one by one.
MAX_FLAG_BITS = 128


def fingerprint(kind: type) -> tuple[str, str, tuple[str, ...]] | None:
    """(module, qualname, field names) of a class whose instances may travel by value, else None.

    None also for a class that its own module does not have under its name (local, generated, shadowed), lives in
    `__main__`, says itself how it is copied, is a torch module, or has a finaliser.
    """
    if images.is_image_class(kind):
        return images.FINGERPRINT
    module, qualname = kind.__module__, kind.__qualname__
    if type(module) is not str or module in ("__main__", "__mp_main__"):
        return None
    if find_class(module, qualname) is not kind:
        return None
    if (module, qualname) in KNOWN:
        return module, qualname, ()
    fields = _fields_of(kind)
    return None if fields is None or _governs_its_copies(kind) else (module, qualname, fields)


def is_known(module: str, qualname: str, fields: Sequence[str]) -> bool:
    """The receiver's answer: whether it has that class, of the same kind and with the same fields.

    Raises TypeError for a question that is none; `fields` may be a list.
    """
    if not isinstance(fields, (list, tuple)):
        raise TypeError(f"the fields of a class are a list, not a {type(fields).__name__}")
    wanted = (as_text(module), as_text(qualname), tuple(fields))
    if wanted == images.FINGERPRINT:
        return libraries.is_installed("PIL")
    kind = _obtain_class(module, qualname)
    return kind is not None and fingerprint(kind) == wanted


def attributes_of(value: Any) -> dict[str, Any]:
    """Everything an instance carries: its slots and its `__dict__`, past any property."""
    attributes: dict[str, Any] = {}
    for name, slot in _slots_of(type(value)):
        try:
            attributes.setdefault(name, slot.__get__(value))
        except AttributeError:  # never set
            continue
    attributes.update(_dict_of(value) or {})
    return attributes


def values_of(value: tuple[Any, ...]) -> list[Any]:
    """The elements of a named tuple, and its further attributes as a dict if it has any."""
    further = _dict_of(value)
    return [*tuple.__iter__(value), dict(further)] if further else list(tuple.__iter__(value))


def new_instance(module: str, qualname: str) -> Any:
    """An empty instance, to be filled by `fill_instance`. Raises DecodeError for a class that may not be made."""
    return object.__new__(_class_to_build(module, qualname))


def fill_instance(instance: Any, attributes: Any) -> None:
    """Give an instance what `attributes_of` gave. Raises TypeError for attributes it has no place for."""
    slots = dict(_slots_of(type(instance)))
    further = _dict_of(instance)
    for name, value in as_attributes(attributes).items():
        slot = slots.get(name)
        if slot is not None:
            slot.__set__(instance, value)
        elif further is not None:
            further[name] = value
        else:
            raise TypeError(f"a {type(instance).__name__} has no attribute {name!r} here")


def build_named_tuple(module: str, qualname: str, values: Any) -> Any:
    """The named tuple of what `values_of` gave. Raises DecodeError or ValueError."""
    kind = _class_to_build(module, qualname)
    count = len(_fields_of(kind) or ())
    elements = as_list(values)
    further = elements[count:]
    if not issubclass(kind, tuple) or len(elements) < count or len(further) > 1:
        raise ValueError(f"{len(elements)} values do not make a {qualname}, which has {count}")
    made = tuple.__new__(kind, elements[:count])
    if further:
        fill_instance(made, further[0])
    return made


def reduce_enum(value: enum.Enum) -> list[Any]:
    """[module, qualname, member name or None, value]."""
    kind = type(value)
    return [kind.__module__, kind.__qualname__, value._name_, value._value_]


def build_enum(payload: Any) -> Any:
    """The member of what `reduce_enum` gave, or its value where the class or the member is unknown."""
    module, qualname, name, value = as_list(payload, 4)
    kind = find_class(as_text(module), as_text(qualname))
    if not isinstance(kind, type) or not issubclass(kind, enum.Enum):
        return value
    if type(name) is str and name in kind.__members__:
        return kind[name]
    # Several bits at once are a member without a name of its own.
    if issubclass(kind, enum.Flag) and type(value) is int and value.bit_length() <= MAX_FLAG_BITS:
        return kind(value)
    return value


def find_class(module: str, qualname: str) -> Any:
    """What a loaded module has under that name, else None. Runs no code: a module's `__getattr__` could import."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        names = _dict_of(found)
        found = None if names is None else names.get(part)
    return found


def _obtain_class(module: str, qualname: str) -> type | None:
    if (module, qualname) in IMPORTABLE and module not in sys.modules:
        try:
            importlib.import_module(module)
        except ImportError:
            return None
    found = find_class(module, qualname)
    return found if isinstance(found, type) else None


def _class_to_build(module: str, qualname: str) -> type:
    kind = _obtain_class(as_text(module), as_text(qualname))
    if kind is None or fingerprint(kind) is None:
        raise DecodeError(f"{module}.{qualname} is not a class that may be rebuilt from a message")
    return kind


def _fields_of(kind: type) -> tuple[str, ...] | None:
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        is_named = isinstance(names, tuple) and all(type(name) is str for name in names)
        return names if is_named and tuple.__itemsize__ == kind.__itemsize__ else None
    # A subclass that is not decorated itself may have anything in it.
    if "__dataclass_fields__" not in vars(kind):
        return None
    dataclasses = libraries.loaded("dataclasses")
    return None if dataclasses is None else tuple(field.name for field in dataclasses.fields(kind))


def _governs_its_copies(kind: type) -> bool:
    """Whether the class has code for being copied or finalised, or a base that is more than attributes."""
    if hasattr(kind, "__del__"):
        return True
    torch = libraries.loaded("torch")
    if torch is not None and hasattr(torch, "nn") and issubclass(kind, torch.nn.Module):
        return True
    for base in kind.__mro__:
        if base in (object, tuple):
            continue
        for name in COPY_METHODS:
            method = vars(base).get(name)
            # dataclass(frozen=True, slots=True) writes two of them
            if method is not None and getattr(method, "__module__", None) != "dataclasses":
                return True
    return not issubclass(kind, tuple) and not _is_made_of_attributes(kind)


def _is_made_of_attributes(kind: type) -> bool:
    try:
        object.__new__(kind)
    except TypeError:  # a base with memory of its own (dict, Exception, a C type), or an abstract class
        return False
    return True


def _slots_of(kind: type) -> Iterator[tuple[str, Any]]:
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if type(member) is MemberDescriptorType:
                yield name, member


def _dict_of(value: Any) -> Any:
    """The `__dict__` of an object, module or class (read-only then), past its own `__getattribute__`."""
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
