"""Names of socket types that compare as their pack wants them to.

ComfyUI asks `received != expected` before it asks anything else, so packs make types of `str` subclasses whose `__ne__`
says no: to everything ("*"), to a set of types written "A,B", or to names that they keep in an attribute. The method
itself stays behind in the pack's process; here is what it answered to one sample of each relation that two such names
can have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

PROBE = "COMFY_ENV_PROBE"

#: How another name may relate to one: the same text, "*", none of its parts, a superset, a subset, a few of them, or
#: something that is no text at all (a list of choices).
RELATIONS = ("same", "star", "other", "more", "fewer", "overlap", "no text")

#: Types that a name may accept one by one, beside those found in its attributes. Source: comfy_api.latest.io.
COMMON_TYPES = (
    "AUDIO", "BOOLEAN", "CLIP", "CLIP_VISION", "CLIP_VISION_OUTPUT", "COMBO", "CONDITIONING", "CONTROL_NET", "FLOAT",
    "GUIDER", "IMAGE", "INT", "LATENT", "MASK", "MODEL", "NOISE", "SAMPLER", "SIGMAS", "STRING", "STYLE_MODEL",
    "UPSCALE_MODEL", "VAE", "VIDEO",
)  # fmt: skip


class TypeName(str):  # noqa: SLOT000  # `accepts`, `equals` and `names` are its own
    """A type name with comparisons of its own.

    `accepts`: the relations in which it is not unequal; `equals`: those in which it is equal; `names`: single types
    that it accepts beyond those. `__eq__` is independent of `__ne__` on purpose: ComfyUI converts where
    `type == "INT"`.
    """

    accepts: frozenset[str] = frozenset()
    equals: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return not (
            _relation(self, other) in self.accepts or (isinstance(other, str) and other in self.names)
        )

    def __eq__(self, other: object) -> bool:
        return _relation(self, other) in self.equals


def type_name(
    text: str, accepts: Iterable[str], equals: Iterable[str], names: Iterable[str] = ()
) -> TypeName:
    """A name that compares so."""
    made = TypeName(text)
    made.accepts, made.equals, made.names = frozenset(accepts), frozenset(equals), frozenset(names)
    return made


def wildcard(text: str) -> TypeName:
    """A name that is unequal to nothing, and equal only to itself."""
    return type_name(text, RELATIONS, ["same"])


def is_wildcard(value: str) -> bool:
    """Whether a name claims to be unequal to nothing."""
    return type(value) is not str and all(_is_not_unequal(value, other) for other in (PROBE, [PROBE]))


def comparisons(value: str) -> Optional[dict[str, list[str]]]:
    """`accepts`, `equals` and `names` of a `str` subclass, None if it compares as any text. Never raises for one."""
    if type(value) is str:
        return None
    samples = _samples(str.__str__(value))
    accepts = [relation for relation, other in samples.items() if _is_not_unequal(value, other)]
    equals = [relation for relation, other in samples.items() if _is_equal(value, other)]
    plain = type_name(str.__str__(value), accepts, equals)
    names = sorted(
        name
        for name in {*COMMON_TYPES, *_texts_in(value)}
        if _is_not_unequal(value, name) and str.__ne__(plain, name) and plain != name
    )
    if accepts == equals == ["same"] and not names:
        return None
    return {"accepts": accepts, "equals": equals, "names": names}


def _samples(text: str) -> dict[str, Any]:
    samples: dict[str, Any] = {
        "same": text,
        "star": "*",
        "other": PROBE,
        "more": f"{text},{PROBE}",
        "no text": [PROBE],
    }
    parts = text.split(",")
    if len(parts) > 1:
        samples.update(fewer=parts[0], overlap=f"{parts[0]},{PROBE}")
    if text == "*":
        del samples["star"]  # that is the same
    return {relation: samples[relation] for relation in RELATIONS if relation in samples}


def _relation(name: str, other: object) -> str:
    if not isinstance(other, str):
        return "no text"
    if str.__eq__(name, other):
        return "same"
    if str.__eq__(other, "*"):
        return "star"
    ours, theirs = frozenset(str.split(name, ",")), frozenset(str.split(other, ","))
    if ours <= theirs:
        return "more"
    if theirs < ours:
        return "fewer"
    return "overlap" if ours & theirs else "other"


def _is_not_unequal(value: Any, other: Any) -> bool:
    try:
        return not value != other  # noqa: SIM202  # `!=` is what ComfyUI asks, and it need not agree with `==`
    except Exception:  # noqa: BLE001  # a comparison of foreign code that fails says nothing: as any text then
        return str.__eq__(value, other) is True


def _is_equal(value: Any, other: Any) -> bool:
    try:
        return bool(value == other)
    except Exception:  # noqa: BLE001  # as above
        return str.__eq__(value, other) is True


def _texts_in(value: Any) -> Iterable[str]:
    """The texts among an object's attributes, and those in its lists."""
    for item in vars(value).values() if hasattr(value, "__dict__") else ():
        for text in item if isinstance(item, (list, tuple, set, frozenset)) else (item,):
            if isinstance(text, str):
                yield from str.split(text, ",")
