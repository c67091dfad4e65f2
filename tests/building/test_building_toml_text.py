"""Our TOML writer against the reader of the standard library."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_env_core.building.toml_text import toml_comment, toml_key, toml_string, toml_value

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    TEXT
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.times()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@given(TEXT, VALUES)
def test_what_is_written_reads_back_the_same(key: str, value: Any) -> None:
    text = f"{toml_key(key)} = {toml_value(value)}"
    assert "\n" not in text
    assert tomllib.loads(text) == {key: value}


@given(st.text(), TEXT)
def test_a_comment_never_becomes_anything_else(comment: str, value: str) -> None:
    text = (
        f"{toml_comment(comment)}\nx = {toml_value(value)}  {toml_comment(comment.replace(chr(10), ' '))}\n"
    )
    assert tomllib.loads(text) == {"x": value}


def test_nan_reads_back_as_nan() -> None:
    assert math.isnan(tomllib.loads(f"x = {toml_value(math.nan)}")["x"])


def test_lone_surrogates_are_refused_since_no_file_can_hold_them() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        toml_string("\ud800")


@pytest.mark.parametrize("value", [None, b"bytes", object(), {1, 2}])
def test_what_toml_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        toml_value(value)
