"""What a process may rebuild from pickles that come from elsewhere: ComfyUI's process from its workers.

A pickle calls what it names. So names are looked up in a list, exactly; only for whole packages named in the list
(ComfyUI's, and those a pack declares) any class counts that is defined there under the very name asked for. Functions,
modules, and what a module merely imported are never given out. Arguments are not checked: a pickle can still ask for a
list of a billion elements.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from comfy_env_core.wire.objects.operations import is_dunder
from comfy_env_core.wire.objects.parcel_errors import MissingHere, ParcelError
from comfy_env_core.wire.objects.pickling import import_for

#: Packages and modules of ComfyUI. `comfy_extras` and `nodes` define the nodes' own small classes.
COMFYUI_PACKAGES = frozenset({"comfy", "comfy_api", "comfy_execution", "comfy_extras", "nodes"})
#: torch's layers; all else of torch is listed by name.
LIBRARY_PACKAGES = frozenset({"torch.nn.modules"})

_NUMPY_SCALARS = (
    "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "intc", "uintc",
    "longlong", "ulonglong", "float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble",
    "datetime64", "timedelta64", "str_", "bytes_", "void",
)  # fmt: skip

#: module -> names. Value types, and the functions by which they rebuild themselves.
LISTED: dict[str, tuple[str, ...]] = {
    "builtins": (
        "Ellipsis", "NotImplemented", "bool", "complex", "dict", "float", "frozenset", "int", "list", "object",
        "range", "set", "slice", "str", "tuple",
    ),
    "array": ("array", "_array_reconstructor"),
    "collections": ("ChainMap", "Counter", "OrderedDict", "UserDict", "UserList", "UserString", "defaultdict", "deque"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "ipaddress": ("IPv4Address", "IPv4Network", "IPv6Address", "IPv6Network"),
    "pathlib": ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "re": ("RegexFlag", "_compile"),
    "types": ("SimpleNamespace",),
    "uuid": ("SafeUUID", "UUID"),
    "numpy": ("dtype", "matrix", "ndarray", "recarray", "record", *_NUMPY_SCALARS),
    "numpy.dtypes": tuple(
        f"{name}DType" for name in (
            "Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16", "Float32",
            "Float64", "Complex64", "Complex128", "DateTime64", "TimeDelta64", "Str", "Bytes", "Void", "Object",
        )
    ),
    "numpy._core.multiarray": ("_reconstruct",),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.ma": ("MaskedArray",),
    "numpy.ma.core": ("MaskedArray", "_mareconstruct"),
    "numpy.rec": ("recarray", "record"),
    "torch": ("Size", "device"),
    # Tensors are parts. What rebuilds subclasses of them calls whatever it is given, and storages load any pickle.
    "torch._utils": (
        "_rebuild_meta_tensor_no_storage", "_rebuild_parameter", "_rebuild_parameter_with_state",
        "_rebuild_sparse_tensor",
    ),
    "torch.nn.parameter": ("Buffer", "Parameter"),
}  # fmt: skip

#: May be named, for the functions that rebuild them, but not called: called, they reserve memory, or read it.
NOT_CALLED = frozenset({
    ("numpy", "matrix"), ("numpy", "ndarray"), ("numpy", "recarray"), ("numpy", "record"), ("numpy", "void"),
    ("numpy.ma", "MaskedArray"), ("numpy.ma.core", "MaskedArray"), ("numpy.rec", "recarray"), ("numpy.rec", "record"),
})  # fmt: skip


@dataclass(frozen=True)
class AllowList:
    """`names` are (module, dotted name) pairs; of `packages` (and what is below them) the own classes are allowed."""

    names: frozenset[tuple[str, str]]
    packages: frozenset[str]

    def find(self, module: str, name: str, type_name: str) -> Any:
        """The class, function or constant that a pickle of a `type_name` names.

        Nothing is imported that is not allowed. Raises ParcelError if it is not, MissingHere if it is not here.
        """
        if (module, name) in self.names or (_today(module), name) in self.names:
            return _resolve(import_for(module, type_name), module, name, type_name)
        if module == "builtins" and _is_exception(name):
            return getattr(builtins, name)
        if not self._covers(module) or any(
            is_dunder(part) for part in (*module.split("."), *name.split("."))
        ):
            raise _refused(module, name, type_name)
        found = _resolve(import_for(module, type_name), module, name, type_name)
        if not _is_own_class(found, module, name):
            raise _refused(module, name, type_name)
        return found

    def _covers(self, module: str) -> bool:
        parts = module.split(".")
        return any(".".join(parts[:count]) in self.packages for count in range(1, len(parts) + 1))


def host_allow_list(declared: Iterable[str] = ()) -> AllowList:
    """What ComfyUI's process may rebuild. `declared` by a pack: "package" or "package.module" for the classes
    defined there, "package.module:Name" for one class or function.

    Raises ParcelError if a pack declares part of Python itself.
    """
    names = {(module, name) for module, listed in LISTED.items() for name in listed}
    packages = set(COMFYUI_PACKAGES | LIBRARY_PACKAGES)
    for entry in declared:
        module, separator, name = entry.partition(":")
        root = module.partition(".")[0]
        if root in getattr(sys, "stdlib_module_names", sys.builtin_module_names) or not root.isidentifier():
            raise ParcelError(
                f"{entry!r} cannot be declared as what ComfyUI may rebuild: it must be a package the pack uses, "
                "and not part of Python. Name the package, or a class as 'package.module:Class'."
            )
        if separator:
            names.add((module, name))
        else:
            packages.add(module)
    return AllowList(frozenset(names), frozenset(packages))


def _today(module: str) -> str:
    """The name the list has for a module that had another one."""
    if module.startswith("numpy.core."):
        return "numpy._core." + module[len("numpy.core.") :]
    return "pathlib" if module == "pathlib._local" else module


def _is_exception(name: str) -> bool:
    found = vars(builtins).get(name)
    return isinstance(found, type) and issubclass(found, Exception)


def _resolve(module: Any, module_name: str, name: str, type_name: str) -> Any:
    """The name, part by part; only a class can hold another name, so no step leads into another module."""
    found: Any = module
    for part in name.split("."):
        if found is not module and not isinstance(found, type):
            raise _refused(module_name, name, type_name)
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise MissingHere(type_name, f"the module {module_name!r} here has no {name!r}") from error
    return found


def _is_own_class(found: object, module: str, name: str) -> bool:
    # A metaclass makes classes out of nothing; a class that a module imported belongs to another package.
    return (
        isinstance(found, type)
        and not issubclass(found, (type, ModuleType))
        and (found.__module__, found.__qualname__) == (module, name)
    )


def _refused(module: str, name: str, type_name: str) -> ParcelError:
    return ParcelError(
        f"A {type_name} was not rebuilt in this process: its pickle asks for {module}.{name}, which is not among what "
        "ComfyUI's process accepts from workers. Pass the object on without using it there, or register a codec for it "
        "in the pack's serialization.py."
    )
