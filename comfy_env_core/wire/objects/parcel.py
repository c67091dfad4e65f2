"""What a packed object is; parcels.py packs and unpacks."""

from __future__ import annotations

from typing import Any

CODEC = "codec"
PICKLE = "pickle"


class Parcel:
    """An object, packed.

    `how` is "codec": `tag` says which, and `content` is what it gave; or "pickle": `tag` is "", and `content` is
    `[pickle (protocol 5) as a memoryview, list of parts, list of out-of-band buffers as memoryviews]`, where a part is
    an array, tensor, image, handle or other parcel that the pickle refers to by its index.
    """

    __slots__ = ("content", "how", "tag", "type_name")

    def __init__(self, type_name: str, how: str, tag: str, content: Any) -> None:
        self.type_name = type_name
        self.how = how
        self.tag = tag
        self.content = content
