"""Running a pack's serialization.py, which registers its codecs."""

from __future__ import annotations

import builtins
import hashlib
import importlib.machinery
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from comfy_env_core.wire.objects.codecs import Codec, Codecs, Serialize
from comfy_env_core.wire.objects.parcel_errors import CodecFileError

#: Modules from which packs import `register_serializer`: the documented one, and two of the file's earlier generations.
STAND_INS = (
    "comfy_env",
    "comfy_env.isolation",
    "comfy_env.isolation.workers",
    "comfy_env.isolation.workers._ipc_shared",
    "_ipc_shared",
)


def load_codecs(path: Path, codecs: Codecs) -> None:
    """Run a pack's serialization.py, and add what it registers to `codecs`; a file is run once.

    Only for that file, `comfy_env` and the other STAND_INS import as modules that offer `register_serializer`; whatever
    is installed under these names stays as it is for everyone else. Nothing is registered if the file fails. Raises
    CodecFileError: it cannot be read, fails (with the line), or registers nothing.
    """
    path = path.resolve()
    if codecs.is_loaded(path):
        return
    found: list[Codec] = []

    def register_serializer(
        type_name: str, serialize: Serialize, deserialize: Serialize | None = None, tag: str | None = None
    ) -> None:
        found.append(_checked(type_name, tag or type_name, serialize, deserialize, path))

    _run(path, _stand_ins(register_serializer))
    if not found:
        raise CodecFileError(
            f"{path} registers nothing. Call register_serializer(class_name, serialize, deserialize) in it for each "
            'type that the pack lists as "custom" under [types].'
        )
    for codec in found:
        codecs.register(codec)


def _checked(type_name: object, tag: object, serialize: object, deserialize: object, path: Path) -> Codec:
    is_right = isinstance(type_name, str) and isinstance(tag, str) and callable(serialize)
    if not is_right or not (deserialize is None or callable(deserialize)):
        raise TypeError(
            "register_serializer(class name, serialize function, deserialize function or None, tag) got "
            f"({type_name!r}, {serialize!r}, {deserialize!r}, {tag!r})"
        )
    return Codec(type_name, tag, serialize, deserialize, path)  # type: ignore[arg-type]


def _run(path: Path, stand_ins: Mapping[str, ModuleType]) -> None:
    name = f"_comfy_env_codecs_{re.sub(r'[^0-9a-zA-Z]+', '_', path.parent.name)}_{_short_hash(str(path))}"
    module = ModuleType(name)
    module.__file__ = str(path)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, origin=str(path))
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importer(stand_ins)}
    try:
        # Not by an importer: it would write bytecode into the pack.
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except FileNotFoundError as error:
        raise CodecFileError(
            f"Codecs cannot be loaded from {path}: there is no such file. The comfy-env-root.toml beside it has a type "
            'that is "custom" under [types]: add the file, or write "builtin" there.'
        ) from error
    except OSError as error:
        raise CodecFileError(f"Codecs cannot be loaded from {path}: {error}") from error
    except (SyntaxError, ValueError) as error:
        raise CodecFileError(
            f"Codecs cannot be loaded: {path}:{getattr(error, 'lineno', None) or 1}: {error}"
        ) from error
    sys.modules[name] = module  # where classes defined in the file say they are from
    try:
        exec(code, module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise CodecFileError(
            f"Codecs cannot be loaded: {path}:{_line_in(path, error)}: {type(error).__name__}: {error}. The file runs "
            "in ComfyUI's process and in workers: import what only one of them has inside the functions."
        ) from error


def _line_in(path: Path, error: Exception) -> int:
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return (lines[-1] if lines else None) or 1


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _stand_ins(register_serializer: Callable[..., None]) -> dict[str, ModuleType]:
    modules: dict[str, ModuleType] = {}
    for name in STAND_INS:
        module = modules[name] = ModuleType(
            name, "Stands in for the module a serialization.py registers with."
        )
        module.__path__ = []
        module.__dict__["register_serializer"] = register_serializer
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    return modules


def _importer(stand_ins: Mapping[str, ModuleType]) -> Callable[..., Any]:
    """`__import__` for one file. Replacing entries of sys.modules instead would be seen by every thread."""

    def import_module(
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  # the names of __import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        if level == 0 and name in stand_ins:
            return stand_ins[name] if fromlist else stand_ins[name.partition(".")[0]]
        return builtins.__import__(name, globals, locals, fromlist, level)

    return import_module
