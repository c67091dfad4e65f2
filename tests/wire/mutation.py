"""Damaged messages made of valid ones: as bytes, and as msgpack."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wire.layout import Field, Message, Section, fields, sections
from wire.msgpack_tokens import Token, scan

EXTREMES = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    (1 << 63) - 1,
    (1 << 64) - 1,
)
INTERESTING_BYTES = bytes([0, 1, 0x7F, 0x80, 0xFF, *range(0xC0, 0xE0)])
# Values that stand for others: wrong types, empty ones, extreme numbers, nan, a lone surrogate, bombs.
STRANGERS = (
    b"\xc0",
    b"\xc2",
    b"\x00",
    b"\xff",
    b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + b"\x00" * 7,
    b"\xcb\x7f\xf8" + b"\x00" * 6,
    b"\xcb\x7f\xf0" + b"\x00" * 6,
    b"\xce\x7f\xff\xff\xff",
    b"\xa0",
    b"\xa3\xed\xa0\x80",
    b"\xc4\x00",
    b"\x90",
    b"\x80",
    b"\x92\x01\x02",
    b"\x81\x90\x01",
    b"\xd4\x05\x00",
    b"\xd4\x20\x90",
    b"\xc7\x00\x63",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
)
U32 = struct.Struct("<I")


class Seed(NamedTuple):
    """A message and where its parts are."""

    message: Message
    sections: Sequence[Section]
    fields: Sequence[Field]
    tokens: Sequence[tuple[Token, Section]]


def analyse(message: Message, raw_codes: Mapping[int, int | None]) -> Seed:
    """Find the parts of a message, as far as it makes sense."""
    body = message.body
    try:
        parts, numbers = sections(body), fields(body)
    except struct.error:
        parts, numbers = [], []
    parts = [part for part in parts if part.end <= len(body)]
    numbers = [number for number in numbers if number.offset + number.width <= len(body)]
    tokens = [(token, part) for part in parts for token in scan(body, part.start, part.end, raw_codes)]
    return Seed(message, parts, numbers, tokens)


class Mutator:
    """Makes damaged bodies; the same ones for the same seed and the same calls."""

    def __init__(self, seeds: Sequence[Seed], seed: str) -> None:
        self._seeds = seeds
        self._random = random.Random(seed)
        self._structural: tuple[Callable[[Seed], bytearray], ...] = (
            self._other_type,
            self._other_length,
            self._other_code,
            self._replaced,
            self._replaced,
            self._nested,
            self._extreme_field,
            self._whole,
        )
        self._plain: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._flip,
            self._overwrite,
            self._insert,
            self._delete,
            self._duplicate,
            self._truncate,
            self._splice,
            self._extreme_anywhere,
        )

    @property
    def state(self) -> object:
        """Where in its sequence it is; set it to repeat what came after."""
        return self._random.getstate()

    @state.setter
    def state(self, state: Any) -> None:
        self._random.setstate(state)

    def below(self, limit: int) -> int:
        """A number from 0 up to below the limit; several times faster than randrange."""
        return int(self._random.random() * limit)

    def choose(self) -> Seed:
        """A seed to damage."""
        return self._seeds[self.below(len(self._seeds))]

    def mutate(self, seed: Seed) -> bytearray:
        """A damaged copy of its body."""
        draw = self._random.random()
        if draw < 0.55 and seed.tokens:
            body = self._structural[self.below(len(self._structural))](seed)
            if draw < 0.4:
                return body
        else:
            body = bytearray(seed.message.body)
        for _ in range(1 + self.below(3)):
            self.damage(body)
        return body

    def damage(self, body: bytearray) -> None:
        """Change some bytes in place."""
        if body:
            self._plain[self.below(len(self._plain))](body)

    # -- bytes ---------------------------------------------------------------------------------------------

    def _flip(self, body: bytearray) -> None:
        body[self.below(len(body))] ^= 1 << self.below(8)

    def _overwrite(self, body: bytearray) -> None:
        body[self.below(len(body))] = INTERESTING_BYTES[self.below(len(INTERESTING_BYTES))]

    def _insert(self, body: bytearray) -> None:
        at = self.below(len(body) + 1)
        body[at:at] = self._random.randbytes(1 + self.below(6))

    def _delete(self, body: bytearray) -> None:
        at = self.below(len(body))
        del body[at : at + 1 + self.below(6)]

    def _duplicate(self, body: bytearray) -> None:
        at = self.below(len(body))
        body[at:at] = body[at : at + 1 + self.below(24)]

    def _truncate(self, body: bytearray) -> None:
        del body[self.below(len(body)) :]

    def _splice(self, body: bytearray) -> None:
        other = self.choose().message.body
        body[self.below(len(body)) :] = other[self.below(len(other)) :]

    def _extreme_anywhere(self, body: bytearray) -> None:
        width = 1 << self.below(4)
        number = EXTREMES[self.below(len(EXTREMES))] & ((1 << 8 * width) - 1)
        at = self.below(len(body))
        body[at : at + width] = number.to_bytes(width, "big" if self.below(2) else "little")

    # -- msgpack -------------------------------------------------------------------------------------------

    def _token(self, seed: Seed) -> tuple[Token, Section]:
        return seed.tokens[self.below(len(seed.tokens))]

    def _whole(self, seed: Seed) -> bytearray:
        """A part in place of a whole message: what stands first is of another kind then."""
        token, section = self._token(seed)
        outer = Token(section.start, section.start, section.end, ())
        return self._put(seed.message.body, outer, section, seed.message.body[token.start : token.end])

    def _other_type(self, seed: Seed) -> bytearray:
        body = bytearray(seed.message.body)
        body[self._token(seed)[0].start] = self.below(256)
        return body

    def _other_length(self, seed: Seed) -> bytearray:
        """Another count of elements or bytes in the same header, or one as wide as they come."""
        token, section = self._token(seed)
        body = seed.message.body
        first = body[token.start]
        if 0x80 <= first <= 0xBF:
            wide = {0x80: b"\xdf", 0x90: b"\xdd"}.get(first & 0xF0, b"\xdb")
            near = (first & 0x0F) + self.below(3) - 1
            count = near if self.below(2) else EXTREMES[self.below(10)]
            header = wide + (max(count, 0) & 0xFFFFFFFF).to_bytes(4, "big")
            return self._put(body, token, section, header + body[token.header_end : token.end])
        damaged = bytearray(body)
        if token.header_end - token.start > 1:
            damaged[token.start + 1] = INTERESTING_BYTES[self.below(5)]
            damaged[token.header_end - 1] = (damaged[token.header_end - 1] + self.below(5) - 2) & 0xFF
        else:
            damaged[token.start] = (first + self.below(5) - 2) & 0xFF
        return damaged

    def _other_code(self, seed: Seed) -> bytearray:
        body = bytearray(seed.message.body)
        around = self._token(seed)[0].around
        if not around:
            self._flip(body)
            return body
        body[around[self.below(len(around))].content_start - 1] = (
            self.below(128) if self.below(8) else self.below(256)
        )
        return body

    def _replaced(self, seed: Seed) -> bytearray:
        """A value in place of another, with the sizes around it made right."""
        token, section = self._token(seed)
        if self.below(3):
            new = STRANGERS[self.below(len(STRANGERS))]
        else:
            other = self.choose()
            if not other.tokens:
                return bytearray(other.message.body)
            found = self._token(other)[0]
            new = other.message.body[found.start : found.end]
        return self._put(seed.message.body, token, section, new)

    def _nested(self, seed: Seed) -> bytearray:
        """A value deep inside containers or extensions."""
        token, section = self._token(seed)
        new = seed.message.body[token.start : token.end][:64]
        depth = (2, 8, 40, 140)[self.below(4)]
        kind = self.below(3)
        if kind == 0:
            new = b"\x91" * (depth * 4) + new
        elif kind == 1:
            new = b"\x81\xa0" * (depth * 4) + new
        else:
            code = bytes([1 + self.below(50)])
            for _ in range(depth):
                new = b"\xc8" + (len(new) & 0xFFFF).to_bytes(2, "big") + code + new
        return self._put(seed.message.body, token, section, new)

    def _extreme_field(self, seed: Seed) -> bytearray:
        body = bytearray(seed.message.body)
        if seed.fields:
            offset, width = seed.fields[self.below(len(seed.fields))]
            number = EXTREMES[self.below(len(EXTREMES))] + self.below(3) - 1
            body[offset : offset + width] = (number & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        return body

    def _put(self, body: bytes, token: Token, section: Section, new: bytes) -> bytearray:
        """The body with `new` where the token was, and the sizes of everything around it to match."""
        start, end = token.start, token.end
        for enclosure in reversed(token.around):
            new = body[enclosure.content_start : start] + new + body[end : enclosure.content_end]
            new = b"\xc9" + len(new).to_bytes(4, "big") + bytes([enclosure.code]) + new
            start, end = enclosure.start, enclosure.content_end
        changed = bytearray(body)
        changed[start:end] = new
        if section.size_at is not None:
            U32.pack_into(changed, section.size_at, section.end - section.start + len(new) - (end - start))
        return changed
