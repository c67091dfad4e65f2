"""Exceptions as data, and back, with the traceback of the process they happened in.

`describe_error` gives: `module`, `qualname`, `bases` (names of builtin exceptions it derives from, nearest
first), `args` (list, or None if they are not plain), `text` (str of it), `attributes` (plain ones),
`left_behind` (names of the others), `notes`, `frames` ([file, line, function], outermost first), `cause`,
`context` (the same again, or None), `suppress_context`, `group` (None, or [message, members] of a group, each
member the same again).
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

from comfy_env_core.wire.errors import CallTimeout, DecodeError, FrameError, PeerGone, ProtocolMismatch
from comfy_env_core.wire.tracebacks import describe_traceback, rebuild_traceback
from comfy_env_core.wire.values.classes import find_class
from comfy_env_core.wire.values.payloads import as_attributes, as_list, as_text, is_plain

MAX_CHAIN = 10
# Causes, contexts and members of groups together.
MAX_ERRORS = 100
# Raised in the caller these would end its thread, its event loop or ComfyUI instead of failing a node; or they
# would speak of the caller's own connection where the peer meant one of its own.
NEVER_AS_THEMSELVES = (
    StopIteration,
    StopAsyncIteration,
    PeerGone,
    ProtocolMismatch,
    FrameError,
    CallTimeout,
)
# The same class under another name: torch moved its OutOfMemoryError in 2.5; a group whose members are all
# Exceptions, as rebuilt ones are, is an ExceptionGroup, and Python before 3.11 has it from a package.
ALIASES = {
    ("torch", "OutOfMemoryError"): ("torch.cuda", "OutOfMemoryError"),
    ("torch.cuda", "OutOfMemoryError"): ("torch", "OutOfMemoryError"),
    ("builtins", "BaseExceptionGroup"): ("builtins", "ExceptionGroup"),
    ("exceptiongroup", "BaseExceptionGroup"): ("builtins", "ExceptionGroup"),
    ("exceptiongroup", "ExceptionGroup"): ("builtins", "ExceptionGroup"),
}
# What builtin exceptions keep outside `args` and `__dict__`.
BUILTIN_ATTRIBUTES: dict[type[BaseException], tuple[str, ...]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("name", "path"),
    SyntaxError: ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset"),
    NameError: ("name",),
    AttributeError: ("name",),
}


class RemoteError(Exception):
    """Base of rebuilt exceptions whose class this process does not have. Module and qualname are the original's."""


class RemoteOrigin(NamedTuple):
    """Where a rebuilt exception came from."""

    module: str
    qualname: str
    text: str


def remote_origin(error: BaseException) -> RemoteOrigin | None:
    """The origin of an exception that `rebuild_error` made, None for any other."""
    origin = getattr(error, "__comfy_env_origin__", None)
    return origin if isinstance(origin, RemoteOrigin) else None


def describe_error(error: BaseException, *, hide: str = "") -> dict[str, Any]:
    """Plain data about an exception. Leading frames in files that start with `hide` are left out."""
    return _Describing(hide).describe(error, 0)


class _Describing:
    """One exception with everything that hangs on it; each is told once."""

    def __init__(self, hide: str) -> None:
        self._hide = hide
        self._told: set[int] = set()

    def describe(self, error: BaseException, depth: int) -> dict[str, Any]:
        self._told.add(id(error))
        kind = type(error)
        attributes, left_behind = _attributes_of(error)
        return {
            "module": kind.__module__,
            "qualname": kind.__qualname__,
            "bases": [base.__name__ for base in kind.__mro__ if _builtin_exception(base.__name__) is base],
            "args": list(error.args) if all(is_plain(item) for item in error.args) else None,
            "text": _text_of(error),
            "attributes": attributes,
            "left_behind": left_behind,
            "notes": [str(note) for note in getattr(error, "__notes__", None) or ()],
            "frames": describe_traceback(error.__traceback__, self._hide),
            "group": self._group(error, depth),
            "cause": self._next(error.__cause__, depth),
            "context": self._next(error.__context__, depth),
            "suppress_context": error.__suppress_context__,
        }

    def _next(self, error: BaseException | None, depth: int) -> dict[str, Any] | None:
        if error is None or depth >= MAX_CHAIN or id(error) in self._told or len(self._told) >= MAX_ERRORS:
            return None
        return self.describe(error, depth + 1)

    def _group(self, error: BaseException, depth: int) -> list[Any] | None:
        if all(base.__name__ != "BaseExceptionGroup" for base in type(error).__mro__):
            return None
        members = [self._next(member, depth) for member in getattr(error, "exceptions", ())]
        return [str(getattr(error, "message", "")), [member for member in members if member is not None]]


def rebuild_error(payload: Any) -> BaseException:
    """An exception that reads like the original: class name, str(), notes, causes, and a traceback that
    shows the remote files, lines and functions.

    It is of the original's class where that is loaded here and gives the same text, made without running the
    class's own code; attributes that could not travel are None then. Else it is of a new class that carries the
    original's module and qualname and derives from RemoteError and its nearest builtin base. Never a
    SystemExit, KeyboardInterrupt or StopIteration proper. Raises DecodeError for a payload that describes no error.
    """
    try:
        return _rebuild(payload, 0)
    except DecodeError:
        raise
    # Foreign data decides what is called with what, so what fails has no common class.
    except Exception as failure:
        raise DecodeError(
            f"A received error cannot be rebuilt: {type(failure).__name__}: {failure}"
        ) from failure


def _rebuild(payload: Any, depth: int) -> BaseException:
    if depth > MAX_CHAIN:
        raise DecodeError(f"A received error has a chain of causes longer than {MAX_CHAIN}")
    facts = as_attributes(payload)
    module, qualname, text = (as_text(facts[name]) for name in ("module", "qualname", "text"))
    group = None
    if facts["group"] is not None:
        message, members = as_list(facts["group"], 2)
        group = [as_text(message), [_rebuild(member, depth + 1) for member in as_list(members)]]
    error = _as_itself(facts, group) or _as_remote(facts, group)
    notes = [as_text(note) for note in as_list(facts["notes"])]
    if group is not None and not hasattr(error, "exceptions"):
        notes += [f"{type(member).__name__}: {member}" for member in group[1]]
    own = error.__dict__
    own["__comfy_env_origin__"] = RemoteOrigin(module, qualname, text)
    if notes:
        own["__notes__"] = notes
    for name in ("cause", "context"):
        if facts[name] is not None:
            BaseException.__setattr__(error, f"__{name}__", _rebuild(facts[name], depth + 1))
    BaseException.__setattr__(error, "__suppress_context__", facts["suppress_context"] is True)
    return BaseException.with_traceback(error, rebuild_traceback(facts["frames"]))


def _as_itself(facts: dict[str, Any], group: list[Any] | None) -> Exception | None:
    """Of the class that is loaded here; None if there is none or it would say something else."""
    kind = _loaded_exception(facts["module"], facts["qualname"])
    if kind is None:
        return None
    error = _make(kind, _arguments(facts, group))
    if error is None:
        return None
    own = error.__dict__
    own.update((as_text(name), None) for name in as_list(facts["left_behind"]))
    _give_attributes(error, facts["attributes"])
    try:
        return error if str(error) == facts["text"] else None
    except Exception:  # noqa: BLE001  # __str__ is foreign code, and may miss what was left behind
        return None


def _as_remote(facts: dict[str, Any], group: list[Any] | None) -> Exception:
    """Of a class made for it."""
    parents: tuple[type, ...] = (RemoteError,)
    nearest = _nearest_usable(as_list(facts["bases"]), group is not None)
    if nearest is not None:
        parents = (RemoteError, nearest)
    qualname = facts["qualname"]
    members = {"__module__": facts["module"], "__qualname__": qualname, "__str__": _remote_text}
    kind = type(qualname.rpartition(".")[2], parents, members)
    error: Exception = kind.__new__(kind, *(group if group is not None and _is_group(kind) else ()))
    error.args = tuple(_arguments(facts, group))
    error.__dict__["__comfy_env_text__"] = facts["text"]
    _give_attributes(error, facts["attributes"])
    return error


def _arguments(facts: dict[str, Any], group: list[Any] | None) -> list[Any]:
    if group is not None:
        return group
    return [facts["text"]] if facts["args"] is None else as_list(facts["args"])


def _make(kind: type[Exception], arguments: list[Any]) -> Exception | None:
    """An instance by the constructor of the nearest builtin class, so no foreign code runs; None if it will not."""
    nearest = next(base for base in kind.__mro__ if _builtin_exception(base.__name__) is base)
    try:
        error = nearest.__new__(kind, *arguments)
        if type(error) is kind:  # an OSError becomes what its number says
            nearest.__init__(error, *arguments)
    except (TypeError, ValueError):  # arguments of another kind, or a class with memory of its own
        return None
    return error if type(error) is kind else None


def _give_attributes(error: Exception, attributes: Any) -> None:
    for name, value in as_attributes(attributes).items():
        if name.startswith("__"):
            raise ValueError(f"an error's attribute cannot be named {name!r}")
        slot = next((vars(base)[name] for base in _keepers(error) if name in vars(base)), None)
        if slot is None:
            error.__dict__[name] = value
        else:
            slot.__set__(error, value)


def _loaded_exception(module: str, qualname: str) -> type[Exception] | None:
    name: tuple[str, str] | None = (module, qualname)
    for candidate in (name, ALIASES.get((module, qualname))):
        found = None if candidate is None else find_class(*candidate)
        # Only Exceptions: a KeyboardInterrupt or SystemExit of the worker must not act on the host.
        if isinstance(found, type) and issubclass(found, Exception):
            return None if issubclass(found, NEVER_AS_THEMSELVES) else found
    return None


def _nearest_usable(bases: Sequence[Any], with_members: bool) -> type[Exception] | None:
    for name in bases:
        found = _builtin_exception(as_text(name))
        if found is None or found is Exception or issubclass(found, NEVER_AS_THEMSELVES):
            continue
        if with_members or not _is_group(found):
            return found
    return None


def _is_group(kind: type) -> bool:
    return any(base.__name__ == "BaseExceptionGroup" for base in kind.__mro__)


def _remote_text(error: Any) -> str:
    return str(error.__comfy_env_text__)


def _builtin_exception(name: str) -> type[Exception] | None:
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  # __str__ is foreign code
        return f"<str() of the error failed: {type(failure).__name__}>"


def _keepers(error: BaseException) -> list[type[BaseException]]:
    """The builtin classes of an exception that keep attributes of their own."""
    return [base for base in BUILTIN_ATTRIBUTES if isinstance(error, base)]


def _attributes_of(error: BaseException) -> tuple[dict[str, Any], list[str]]:
    """(plain attributes, names of the others)."""
    own = {name: value for name, value in error.__dict__.items() if not name.startswith("__")}
    for base in _keepers(error):
        for name in BUILTIN_ATTRIBUTES[base]:
            value = getattr(error, name, None)
            if value is not None:
                own[name] = value
    plain = {name: value for name, value in own.items() if is_plain(value)}
    return plain, [name for name in own if name not in plain]
