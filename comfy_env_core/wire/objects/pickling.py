"""Pickle protocol 5 in pieces: the structure, its parts (see parts.py), and buffers that objects keep outside of it."""

from __future__ import annotations

import importlib
import io
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from types import MemberDescriptorType
from typing import Any, NamedTuple

from comfy_env_core.wire.objects.parcel_errors import MissingHere, ParcelError
from comfy_env_core.wire.objects.parts import IncomingParts, OutgoingParts
from comfy_env_core.wire.objects.specials import type_name_of

PROTOCOL = 5
#: A buffer smaller than this costs less inside the pickle.
OUT_OF_BAND_BYTES = 4096
#: Among how many objects the one that cannot be pickled is looked for, to tell the way to it.
MAX_SEARCHED = 100_000
_LEAVES = frozenset({bool, int, float, str, bytes, type(None), type})

#: Modules that have had two names: what one version of a library pickles under the one, another has under the other.
RENAMED = (("numpy._core", "numpy.core"), ("pathlib._local", "pathlib"))

IsPart = Callable[[object], bool]


class Pickled(NamedTuple):
    """`parts`: see parts.py. `buffers`: what objects handed out of band, contiguous, in the order of the pickle."""

    data: memoryview
    parts: list[Any]
    buffers: list[memoryview]


def pickle_in_parts(value: object, type_name: str, is_part: IsPart) -> Pickled:
    """The object in pieces that share its memory. `is_part` tells objects the wire has its own way to send.

    Raises ParcelError, which says what inside it cannot be pickled.
    """
    file = io.BytesIO()
    parts = OutgoingParts(is_part)
    buffers: list[memoryview] = []
    try:
        _Pickler(file, parts, buffers).dump(value)
    # __reduce__ and __getstate__ are foreign code.
    except Exception as error:
        culprit = parts.latest
        path = _path_to(culprit, value)
        what = f"its part {path}, a {type_name_of(type(culprit))}," if path else "it"
        raise ParcelError(
            f"A {type_name} cannot be copied to another process: {what} cannot be pickled "
            f"({type(error).__name__}: {error}). Leave that out of what is passed between nodes, give the class "
            "__getstate__ and __setstate__, or register a codec for it in the pack's serialization.py."
        ) from error
    return Pickled(file.getbuffer(), parts.parts, buffers)


def unpickle_parts(pickled: Pickled, type_name: str) -> Any:
    """The object, of any class that can be imported here. Raises MissingHere or ParcelError."""
    parts = IncomingParts(pickled.parts)
    return rebuild(_Unpickler(io.BytesIO(pickled.data), pickled.buffers, parts, type_name).load, type_name)


def rebuild(load: Callable[[], Any], type_name: str) -> Any:
    """What `load` gives; its errors as MissingHere or ParcelError."""
    try:
        return load()
    except ParcelError:
        raise
    except ImportError as error:
        raise MissingHere(type_name, f"a module it needs cannot be imported: {error}") from error
    # Constructors and __setstate__ are foreign code, and damaged pickles raise nearly everything.
    except Exception as error:
        raise ParcelError(
            f"A {type_name} cannot be rebuilt from its pickle: {type(error).__name__}: {error}. If the two "
            "environments have different versions of the library, give both the same."
        ) from error


def import_for(module: str, type_name: str) -> Any:
    """The module, or the same under its other name. Raises MissingHere, which says which module is missing."""
    failure: ImportError | None = None
    for name in _names_of(module):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            failure = failure or error
    if isinstance(failure, ModuleNotFoundError) and failure.name:
        missing = f"the module {failure.name!r} is not installed"
    else:
        missing = f"the module {module!r} cannot be imported ({failure})"
    raise MissingHere(type_name, missing) from failure


def _names_of(module: str) -> Iterator[str]:
    yield module
    for pair in RENAMED:
        for old, other in (pair, pair[::-1]):
            if module == old or module.startswith(old + "."):
                yield other + module[len(old) :]


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, parts: OutgoingParts, buffers: list[memoryview]) -> None:
        super().__init__(file, PROTOCOL, buffer_callback=self._keep_out)
        self._parts = parts
        self._buffers = buffers

    def persistent_id(self, value: Any) -> Any:
        return self._parts.refer(value)

    def _keep_out(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether the buffer stays in the pickle."""
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND_BYTES:
            return True
        self._buffers.append(raw)
        return False


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, file: io.BytesIO, buffers: list[memoryview], parts: IncomingParts, type_name: str
    ) -> None:
        super().__init__(file, buffers=buffers)
        self._parts = parts
        self._type_name = type_name

    def persistent_load(self, reference: Any) -> Any:
        return self._parts.take(reference)

    def find_class(self, module: str, name: str) -> Any:
        found: Any = import_for(module, self._type_name)
        try:
            for part in name.split("."):
                found = getattr(found, part)
        except AttributeError as error:
            raise MissingHere(self._type_name, f"the module {module!r} here has no {name!r}") from error
        return found


def _path_to(wanted: object, value: object) -> str:
    """How to reach one object from another, the shortest way, as it is written in Python; "" if none is found."""
    seen = {id(value)}
    paths = deque([("", value)])
    while paths and len(seen) < MAX_SEARCHED:
        path, holder = paths.popleft()
        for step, child in _children(holder):
            if child is wanted:
                return path + step
            if id(child) not in seen and type(child) not in _LEAVES:
                seen.add(id(child))
                paths.append((path + step, child))
    return ""


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """(what is written behind the object, part). By type: a handle may say it is of the object's class."""
    kind = type(value)
    if issubclass(kind, dict):
        for key, item in dict.items(value):
            yield (f"[{key!r}]" if type(key) in (str, int) else f"[a {type(key).__name__}]"), item
    elif issubclass(kind, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    attributes = getattr(value, "__dict__", None)
    if type(attributes) is dict:
        for name, item in attributes.items():
            yield f".{name}", item
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if type(member) is MemberDescriptorType and hasattr(value, name):
                yield f".{name}", getattr(value, name)
