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

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from comfy_env_core.wire.objects.parcel_errors import CodecFileError

log = logging.getLogger("comfy-env.wire")

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
    """The codecs of one process. Of two for the same class name or tag the later one counts.

    `sources` are serialization.py files that are run when an object is first packed or opened. `others`, those of other
    packs, are asked for tags that these do not open.
    """

    def __init__(self, sources: Iterable[Path] = (), *, others: Codecs | None = None) -> None:
        self._by_class_name: dict[str, Codec] = {}
        self._by_tag: dict[str, Codec] = {}
        self._sources: set[Path] = set()
        self._unread = list(sources)
        self._failures: list[CodecFileError] = []
        self._others = others
        self._reading = threading.RLock()  # a file may use objects of other processes while it is run
        self._is_reading = False

    def register(self, codec: Codec) -> None:
        """Have it used from now on. It does not replace one that can unpack, for its tag, if it cannot."""
        self._sources.add(codec.source)
        self._by_class_name[codec.type_name] = codec
        if codec.deserialize is not None or codec.tag not in self._by_tag:
            self._by_tag[codec.tag] = codec

    def for_class(self, kind: type) -> Codec | None:
        """The codec for the name (without module) of the class, or of its nearest base class that has one.

        Raises CodecFileError if there is none, and a file failed that might have had it.
        """
        self._read(lambda: False)
        for base in kind.__mro__[:-1]:
            codec = self._by_class_name.get(base.__name__)
            if codec is not None:
                return codec
        for failure in self._failures:
            raise CodecFileError(str(failure)) from failure.__cause__
        return None

    def for_tag(self, tag: str) -> Codec | None:
        """The codec that unpacks a tag, or one that at least knows it, or None."""
        self._read(lambda: self._opens(tag))
        found = self._by_tag.get(tag)
        if self._others is None or self._opens(tag):
            return found
        return self._others.for_tag(tag) or found

    @property
    def failures(self) -> list[CodecFileError]:
        """Of the files that were run so far, those of `others` among them."""
        return self._failures + (self._others.failures if self._others is not None else [])

    def is_loaded(self, path: Path) -> bool:
        """Whether the codecs of that file are here."""
        return path in self._sources

    def _opens(self, tag: str) -> bool:
        codec = self._by_tag.get(tag)
        return codec is not None and codec.deserialize is not None

    def _read(self, is_enough: Callable[[], bool]) -> None:
        """Run files that were not yet, in order."""
        if not self._unread:
            return
        # Late: most workers never pack an object.
        from comfy_env_core.wire.objects.codec_files import load_codecs  # noqa: PLC0415

        with self._reading:
            if self._is_reading:
                return
            self._is_reading = True
            try:
                while self._unread and not is_enough():
                    try:
                        load_codecs(self._unread[0], self)
                    except CodecFileError as error:
                        log.error("%s", error)
                        self._failures.append(error)
                    del self._unread[0]
            finally:
                self._is_reading = False
