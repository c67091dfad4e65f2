"""Constants survive as JSON."""

from __future__ import annotations

import enum
import json
import math
import pathlib
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_env_core.wire import freeze, thaw
from comfy_env_core.wire.values.snapshot import Opaque


class AnyType(str):  # noqa: SLOT000
    def __ne__(self, other: object) -> bool:
        return False


class Hostile(str):  # noqa: SLOT000
    def __ne__(self, other: object) -> bool:
        raise RuntimeError("do not compare me")


class FlexibleInputs(dict):  # type: ignore[type-arg]
    """As packs write it: any key is an input of one type."""

    def __getitem__(self, key: object) -> Any:
        return self.get(key) or ("*",)

    def __contains__(self, key: object) -> bool:
        return True


class ByPassTuple(tuple):  # type: ignore[type-arg]  # noqa: SLOT001
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(0 if index > 0 else index)


class Mode(str, enum.Enum):
    FAST = "fast"


def travelled(value: Any) -> Any:
    return thaw(json.loads(json.dumps(freeze(value), allow_nan=False)))


@pytest.mark.parametrize(
    "value",
    [
        ("INT", {"default": 1, "max": float("inf")}),
        {"required": {"a": (["x", "y"],)}},
        {1: 2, (1, 2): "x", "$odd": None},
        {1, 2},
        b"\x00",
        pathlib.Path("/x"),
        [True, None, -1.5, "text"],
        {},
        (),
    ],
    ids=repr,
)
def test_plain_constants_come_back_equal(value: Any) -> None:
    back = travelled(value)
    assert back == value and type(back) is type(value)


def test_nan_enums_views_and_numpy_scalars_become_plain() -> None:
    assert math.isnan(travelled(float("nan")))
    assert travelled([Mode.FAST, numpy.float32(0.5), {"a": 1}.keys(), range(3)]) == [
        "fast",
        0.5,
        ["a"],
        [0, 1, 2],
    ]
    assert type(travelled(Mode.FAST)) is str


def test_wildcard_is_unequal_to_nothing_but_equal_only_to_itself() -> None:
    any_type = travelled((AnyType("*"),))[0]
    assert isinstance(any_type, str)
    assert (any_type != "INT") is False and (any_type == "INT") is False and (any_type == "*") is True
    assert {any_type: 1}["*"] == 1
    assert type(travelled(Hostile("x"))) is str


def test_dicts_and_tuples_that_accept_everything_still_do() -> None:
    inputs = travelled({"optional": FlexibleInputs({"a": ("INT",)})})["optional"]
    assert (
        "whatever" in inputs and inputs["whatever"] == ("*",) and inputs["a"] == ("INT",) and len(inputs) == 1
    )
    outputs = travelled(ByPassTuple(("IMAGE",)))
    assert outputs[0] == outputs[17] == "IMAGE" and len(outputs) == 1


def test_what_has_no_meaning_elsewhere_is_named() -> None:
    back = travelled({"f": print, "c": AnyType, "o": numpy.zeros(3)})
    assert isinstance(back["f"], Opaque) and back["o"] == "numpy.ndarray"
    assert back["c"].endswith("AnyType")


def test_endless_and_huge_constants_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    json.dumps(freeze(loop))
    json.dumps(freeze([list(range(1000)) for _ in range(300)]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_any_constant_comes_back_equal(value: Any) -> None:
    assert travelled(value) == value
