"""How packs pack their own types: the functions their serialization.py registers.

    from comfy_env import register_serializer

    def pack(mesh, recurse):
        return {"vertices": recurse(mesh.vertices), "faces": recurse(mesh.faces)}

    def unpack(content, recurse):
        import trimesh
        return trimesh.Trimesh(recurse(content["vertices"]), recurse(content["faces"]))

    register_serializer("Trimesh", pack, unpack, tag="trimesh.Trimesh")

Both sides run the file. A side that cannot unpack registers None in place of `unpack`, and passes parcels on.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.machinery
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from comfy_env_core.wire.parcel_errors import CodecFileError

#: `serialize(object, recurse)` gives what travels, `deserialize(content, recurse)` the object; `recurse` takes a value
#: inside of it, and gives what stands for it.
Serialize = Callable[[Any, Callable[[Any], Any]], Any]

#: Modules from which packs import `register_serializer`: the documented one, and two of the file's earlier generations.
STAND_INS = (
    "comfy_env",
    "comfy_env.isolation",
    "comfy_env.isolation.workers",
    "comfy_env.isolation.workers._ipc_shared",
    "_ipc_shared",
)


@dataclass(frozen=True)
class Codec:
    """How objects of one type travel. `source` names the file it is from, for messages."""

    type_name: str
    tag: str
    serialize: Serialize
    deserialize: Serialize | None
    source: Path


class Codecs:
    """The codecs of one process. Of two for the same class name or tag the later one counts."""

    def __init__(self) -> None:
        self._by_class_name: dict[str, Codec] = {}
        self._by_tag: dict[str, Codec] = {}
        self._sources: set[Path] = set()

    def register(self, codec: Codec) -> None:
        """Have it used from now on. It does not replace one that can unpack, for its tag, if it cannot."""
        self._sources.add(codec.source)
        self._by_class_name[codec.type_name] = codec
        if codec.deserialize is not None or codec.tag not in self._by_tag:
            self._by_tag[codec.tag] = codec

    def for_class(self, kind: type) -> Codec | None:
        """The codec for the name (without module) of the class, or of its nearest base class that has one."""
        for base in kind.__mro__[:-1]:
            codec = self._by_class_name.get(base.__name__)
            if codec is not None:
                return codec
        return None

    def for_tag(self, tag: str) -> Codec | None:
        """The codec that unpacks a tag, or one that at least knows it, or None."""
        return self._by_tag.get(tag)

    def is_loaded(self, path: Path) -> bool:
        """Whether the codecs of that file are here."""
        return path in self._sources


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
