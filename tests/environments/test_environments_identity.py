"""Ids: the same file on the same facts is the same environment, whatever our version."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comfy_env_core
from comfy_env_core.environments import identity
from comfy_env_core.environments.identity import environment_id

FACTS = ["platform=linux-64", "python=3.11"]
SOURCE = b'[pypi-dependencies]\ntrimesh = "*"\n'


def test_a_fact_that_is_no_line_of_name_and_value_is_refused() -> None:
    for fact in ("platform", "a=1\nb=2"):
        with pytest.raises(ValueError, match="name=value"):
            environment_id(SOURCE, [fact])


def test_an_id_is_eight_hex_digits_and_stays_the_same_for_good() -> None:
    """The literal stands here because changing it rebuilds every environment of every user: that needs a new RECIPE."""
    assert re.fullmatch("[0-9a-f]{8}", environment_id(SOURCE, FACTS))
    assert environment_id(SOURCE, FACTS) == "0a05b6d2"


def test_the_order_of_the_facts_does_not_matter() -> None:
    assert environment_id(SOURCE, FACTS) == environment_id(SOURCE, FACTS[::-1])


def test_our_version_number_is_no_part_of_it_but_the_recipe_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment_id(SOURCE, FACTS)
    monkeypatch.setattr(comfy_env_core, "__version__", "99.0")
    assert environment_id(SOURCE, FACTS) == before
    monkeypatch.setattr(identity, "RECIPE", "99")
    assert environment_id(SOURCE, FACTS) != before


@given(st.binary(), st.binary(), st.sets(st.sampled_from(["a=1", "a=2", "b=1", "recipe2=1"])))
def test_different_files_have_different_ids_also_when_one_ends_like_facts(
    left: bytes, right: bytes, facts: set[str]
) -> None:
    if left != right:
        assert environment_id(left, sorted(facts)) != environment_id(right, sorted(facts))
    assert environment_id(left + b"a=1\n", []) != environment_id(left, ["a=1"])
