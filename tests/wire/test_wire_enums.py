"""Enum members arrive as themselves where the class is known, else as their value."""

from __future__ import annotations

import contextlib
import enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_env_core.wire.values.classes import build_enum, reduce_enum


class Colour(enum.Enum):
    RED = (1, "x")
    CRIMSON = (1, "x")  # noqa: PIE796


class Access(enum.Flag):
    READ = 1
    WRITE = 2


def test_enum_members_arrive_as_themselves() -> None:
    for member in (Colour.RED, Colour.CRIMSON, Access.READ, Access.READ | Access.WRITE, Access(0)):
        assert build_enum(reduce_enum(member)) is member


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ([__name__, "Colour", "GONE", 5], 5),
        (["no.module", "Colour", "RED", "v"], "v"),
        (["subprocess", "Popen", "RED", "v"], "v"),
        ([__name__, "Access", None, 3], Access.READ | Access.WRITE),
        ([__name__, "Access", None, 1 << 100_000], 1 << 100_000),
        ([__name__, "Colour", "mro", "v"], "v"),
    ],
    ids=range(6),
)
def test_enum_member_that_is_unknown_here_is_its_value(payload: list[Any], expected: object) -> None:
    assert build_enum(payload) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=5) | st.integers() | st.none(), max_size=5))
def test_any_damaged_enum_is_an_ordinary_error(payload: list[Any]) -> None:
    with contextlib.suppress(TypeError, ValueError):
        build_enum(payload)
