"""Values to message bodies and back.

A body is `u32 n`, a table of n bytes (attachments.py), then the value as msgpack with the extension codes of types.py.

A list or dict that occurs more than once in a value, or contains itself, is one list or dict again on arrival: where it
first occurs it has a number (DEFINE: `u32 number, u8 kind, content`), then REFER stands for it: `u32 number`. Instances
always have one (INSTANCE: `u32 number, u32 n`, n bytes of `[module, qualname]`, attributes).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from comfy_env_core.wire.attachments import Exchange
from comfy_env_core.wire.decoding import Payload
from comfy_env_core.wire.encoding import Encoded, encode_value
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.values import classes

if TYPE_CHECKING:
    from comfy_env_core.wire.objects.allowed import AllowList

Fingerprint = tuple[str, str, tuple[str, ...]]


class MessageCodec:
    """Encodes for one peer, and decodes what it sent.

    `knows(fingerprint)` asks the peer whether it has a class. `here` names this side in messages. `allowed` tells what
    pickles of other processes may build here (None: anything that can be imported).
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        knows: Callable[[Fingerprint], bool],
        here: str,
        codecs: Codecs,
        allowed: Callable[[], AllowList] | None,
    ) -> None:
        self.exchange = exchange
        self.knows = knows
        self.here = here
        self.codecs = codecs
        self._allowed = allowed
        self._fingerprints: weakref.WeakKeyDictionary[type, Fingerprint | None] = weakref.WeakKeyDictionary()

    def fingerprint(self, kind: type) -> Fingerprint | None:
        """What the peer is asked about a class; None if its instances do not travel by value."""
        try:
            return self._fingerprints[kind]
        except KeyError:
            found = self._fingerprints[kind] = classes.fingerprint(kind)
            return found

    def allow_list(self) -> AllowList | None:
        """What pickles of other processes may build here."""
        return None if self._allowed is None else self._allowed()

    def encode(self, value: Any) -> Encoded:
        """Raises EncodeError, DeadHandle or ForeignHandle; nothing is lent and no memory held then."""
        return encode_value(self, value)

    def receive(self, body: bytes, start: int, descriptors: list[int]) -> Payload:
        """Take what arrived. Owns the descriptors from now on. Raises DecodeError if it is damaged."""
        return Payload(self, body, start, descriptors)
