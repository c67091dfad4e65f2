"""Types that compare as their pack wants them to, and tuples that answer what they do not hold, after a journey."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfy_env_core.wire import freeze, thaw
from comfy_env_core.wire.values.type_names import TypeName


class Anything(str):  # noqa: SLOT000
    def __ne__(self, other: object) -> bool:
        return False


class Equal(Anything):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Subset(str):  # noqa: SLOT000
    """As a pack of ComfyUI's tests has it."""

    def __ne__(self, other: Any) -> bool:
        if self == "*" or other == "*":
            return False
        return not set(self.split(",")).issubset(set(other.split(",")))


class Either(str):  # noqa: SLOT000
    """As the V3 API has it."""

    def __ne__(self, other: object) -> bool:
        if self == "*" or other == "*":
            return False
        if not isinstance(other, str):
            return True
        ours, theirs = frozenset(self.split(",")), frozenset(other.split(","))
        return not (ours <= theirs or theirs <= ours)


class OneOf(str):  # noqa: SLOT000
    """As a pack with thousands of users has it: what it accepts is not in its text."""

    accepted: list[str]

    def __new__(cls, text: str, accepted: list[str]) -> OneOf:
        made = super().__new__(cls, text)
        made.accepted = accepted
        return made

    def __ne__(self, other: object) -> bool:
        return not (other == "*" or other in self.accepted)


class Rude(str):  # noqa: SLOT000
    def __ne__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")


OTHERS = [
    "*",
    "INT",
    "FLOAT",
    "IMAGE",
    "MASK",
    "IMAGE,MASK",
    "MASK,IMAGE",
    "IMAGE,MASK,MESH",
    "MASK,MESH",
    ["a", "b"],
]


@pytest.mark.parametrize(
    "name",
    [
        Anything("*"),
        Equal("*"),
        Subset("IMAGE"),
        Subset("IMAGE,MASK"),
        Subset("*"),
        Either("IMAGE"),
        Either("IMAGE,MASK"),
        Either("*"),
        OneOf("FLOAT", ["FLOAT", "INT"]),
        OneOf("MINE", ["MINE", "MESH_OF_MINE"]),
    ],
    ids=repr,
)
def test_type_name_compares_as_it_did(name: str) -> None:
    back = thaw(json.loads(json.dumps(freeze(name))))
    assert str.__str__(back) == str.__str__(name) and json.dumps(back) == json.dumps(str.__str__(name))
    for other in [*OTHERS, "MINE", "MESH_OF_MINE"]:
        try:
            differs = name != other
        except AttributeError:  # `split` of a list: ComfyUI would report the failure, here it is no match
            differs = True
        assert (back != other) == differs, other
        assert (back == other) == (name == other), other


@pytest.mark.parametrize("text", ["IMAGE", type("Loud", (str,), {})("IMAGE"), Rude("IMAGE")], ids=repr)
def test_name_that_compares_as_any_text_arrives_as_one(text: str) -> None:
    assert type(thaw(freeze(text))) is str


def test_name_can_travel_again() -> None:
    once = thaw(freeze(OneOf("FLOAT", ["INT"])))
    again = thaw(freeze(once))
    assert type(again) is TypeName and not again != "INT" and again != "MASK"  # noqa: SIM202


class Endless(tuple):  # type: ignore[type-arg]  # noqa: SLOT001
    """Gives a type that accepts everything at every index, and shows one plain text."""

    def __getitem__(self, index: Any) -> Any:
        item = super().__getitem__(0 if index > 0 else index)
        return Anything(item) if isinstance(item, str) else item


class Claims(tuple):  # type: ignore[type-arg]  # noqa: SLOT001
    def __len__(self) -> int:
        return 20


def test_tuple_answers_by_index_as_it_did_and_shows_what_it_holds() -> None:
    back = thaw(json.loads(json.dumps(freeze(Endless(("*",))))))
    for index in (0, 1, 17):
        assert not back[index] != "IMAGE"  # noqa: SIM202
    assert back[-1] == "*" and list(back) == ["*"] and json.dumps(back) == '["*"]' and len(back) == 1


def test_tuple_that_lies_about_its_length_goes_on_lying() -> None:
    back = thaw(json.loads(json.dumps(freeze(Claims(("INT", "INT"))))))
    assert len(back) == 20 and back[1] == "INT"
    with pytest.raises(IndexError):
        back[2]


class Container:
    """No dict, and yet every input is in it."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: object) -> Any:
        return ("*", {"lazy": True})


def test_container_of_every_input_is_one_afterwards() -> None:
    back = thaw(freeze({"optional": Container()}))["optional"]
    assert "whatever" in back and back["whatever"] == ("*", {"lazy": True})
