"""Unpickling what comes from a process that is trusted less than this one.

An allow-list alone leaves holes: an opcode may call any object that is on the stack, or set attributes of a class that
was only named, and thereby change it for the whole process. So nothing but what the allow-list gave is called, and
nothing that it gave is changed. This takes Python's own unpickler in Python (`pickle._Unpickler`, unchanged from 3.9 to
3.14), whose opcodes can be refused one by one; arrays and other bulk are not in the pickle.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from comfy_env_core.wire.objects.allowed import NOT_CALLED, AllowList
from comfy_env_core.wire.objects.parcel_errors import ParcelError
from comfy_env_core.wire.objects.parts import IncomingParts
from comfy_env_core.wire.objects.pickling import Pickled, rebuild


def unpickle_guarded(pickled: Pickled, type_name: str, allowed: AllowList) -> Any:
    """The object, if it is made of allowed classes. Raises ParcelError, or MissingHere if one is not here."""
    return rebuild(_Guarded(pickled, type_name, allowed).load, type_name)


class _Guarded(pickle._Unpickler):
    """`_given`: id -> what was looked up or came as a part (kept, so that the id stays its own), may be called."""

    def __init__(self, pickled: Pickled, type_name: str, allowed: AllowList) -> None:
        super().__init__(io.BytesIO(pickled.data), buffers=pickled.buffers)
        self._parts = IncomingParts(pickled.parts)
        self._type_name = type_name
        self._allowed = allowed
        self._given: dict[int, tuple[Any, bool]] = {}

    def persistent_load(self, reference: Any) -> Any:
        part = self._parts.take(reference)
        self._given[id(part)] = part, False  # it may be an object of this process that came home
        return part

    def find_class(self, module: str, name: str) -> Any:
        found = self._allowed.find(module, name, self._type_name)
        self._given[id(found)] = found, callable(found) and (module, name) not in NOT_CALLED
        return found

    def check_called(self, called: Any) -> None:
        """Raises ParcelError unless the allow-list gave it, to be called."""
        if not self._given.get(id(called), (None, False))[1]:
            raise ParcelError(f"The pickle of a {self._type_name} calls {called!r}, which it may not")

    def check_changed(self, changed: Any) -> None:
        """Raises ParcelError if it is a class, function or part: those are not the pickle's to change."""
        if id(changed) in self._given or isinstance(changed, type):
            raise ParcelError(f"The pickle of a {self._type_name} changes {changed!r}, which it may not")

    def check_nothing(self, ignored: Any) -> None:
        """Raises ParcelError: the opcode is for registered extensions, which bypass the look-up."""
        raise ParcelError(f"The pickle of a {self._type_name} uses extension codes, which it may not")

    # Called by Python's unpickler for the opcodes OBJ and INST.
    def _instantiate(self, kind: Any, arguments: Any) -> None:
        self.check_called(kind)
        super()._instantiate(kind, arguments)  # type: ignore[misc]


def _top(depth: int) -> Callable[[Any], Any]:
    return lambda unpickler: unpickler.stack[-depth]


def _below_mark(unpickler: Any) -> Any:
    """The container that APPENDS and the like add to: what was on top when their items' mark was set."""
    return unpickler.metastack[-1][-1]


def _after(check: Any, subject: Callable[[Any], Any], load: Callable[[Any], None]) -> Callable[[Any], None]:
    def checked(unpickler: _Guarded) -> None:
        check(unpickler, subject(unpickler))
        load(unpickler)

    return checked


_SUBJECTS: Mapping[bytes, tuple[Callable[[_Guarded, Any], None], Callable[[Any], Any]]] = {
    pickle.REDUCE: (_Guarded.check_called, _top(2)),
    pickle.NEWOBJ: (_Guarded.check_called, _top(2)),
    pickle.NEWOBJ_EX: (_Guarded.check_called, _top(3)),
    pickle.BUILD: (_Guarded.check_changed, _top(2)),
    pickle.APPEND: (_Guarded.check_changed, _top(2)),
    pickle.SETITEM: (_Guarded.check_changed, _top(3)),
    pickle.APPENDS: (_Guarded.check_changed, _below_mark),
    pickle.SETITEMS: (_Guarded.check_changed, _below_mark),
    pickle.ADDITEMS: (_Guarded.check_changed, _below_mark),
    pickle.EXT1: (_Guarded.check_nothing, _top(0)),
    pickle.EXT2: (_Guarded.check_nothing, _top(0)),
    pickle.EXT4: (_Guarded.check_nothing, _top(0)),
}

_Guarded.dispatch = {
    **pickle._Unpickler.dispatch,
    **{
        opcode[0]: _after(check, subject, pickle._Unpickler.dispatch[opcode[0]])
        for opcode, (check, subject) in _SUBJECTS.items()
    },
}
