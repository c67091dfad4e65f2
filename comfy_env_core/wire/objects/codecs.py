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

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

#: `serialize(object, recurse)` gives what travels, `deserialize(content, recurse)` the object; `recurse` takes a value
#: inside of it, and gives what stands for it.
Serialize = Callable[[Any, Callable[[Any], Any]], Any]


class Codec(NamedTuple):
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
