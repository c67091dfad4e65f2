"""JSON shapes from types: what is checked is what the schema says, by the word of the library `jsonschema`."""

from __future__ import annotations

import copy
import json
import re
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from comfy_env_core.api.schema import (
    Bounds,
    Components,
    Length,
    Mismatch,
    Pattern,
    Schema,
    check,
    from_text,
    inline_schema,
    schema_of,
)


class _Optional(TypedDict, total=False):
    caches: bool


class Inner(TypedDict):
    """One of many."""

    name: Annotated[str, Length(most=8, least=1), "What it is called."]
    share: float


class Outer(_Optional):
    """All that is understood, in one."""

    id: Annotated[str, Pattern("[0-9a-f]{4}")]
    count: Annotated[int, Bounds(0, 5)]
    ratio: Annotated[float, Bounds(least=0)]
    state: Literal["on", "off"]
    level: Literal[0, 1, 2]
    note: str | None
    either: int | list[bool]
    inner: list[Inner]
    few: Annotated[list[int], Length(most=2)]
    by_name: dict[str, Inner]
    anything: Any


class Tree(TypedDict):
    children: list[Tree]


OUTER = inline_schema(Outer)
JUDGE = Draft202012Validator(OUTER)

JUDGES = [
    Draft202012Validator(inline_schema(shape))
    for shape in (int, float, str | None, Literal["on", 1], list[int], dict[str, Any], Inner, Any)
]

# Of values that JSON can hold. Both read a line end at the end of a text differently, and so do regular expressions.
SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-10, 10)
    | st.floats(-10, 10).map(lambda value: round(value, 2))
    | st.sampled_from(["on", "off", "a0b1", "a0b12", "", "naïve", "\U0001f600" * 8, "x" * 9, "caches"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


def of_schema(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that the schema allows, made from what it says and not from the type."""
    if "anyOf" in schema:
        return st.one_of([of_schema(one) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        return _of_object(schema)
    if kind == "array":
        return st.lists(
            of_schema(schema["items"]), min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 3)
        )
    if kind == "string" and "pattern" in schema:
        return st.from_regex(schema["pattern"].removesuffix("$") + r"\Z")
    if kind == "string":
        return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 12))
    least, most = schema.get("minimum"), schema.get("maximum")
    if kind == "integer":
        return st.integers(least, most)
    if kind == "number":
        return st.floats(least, most, allow_nan=False, allow_infinity=False) | st.integers(least or 0, most)
    return {"boolean": st.booleans(), "null": st.none(), None: VALUES}[kind]


def _of_object(schema: Schema) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        return st.dictionaries(st.text(max_size=4), of_schema(schema["additionalProperties"]), max_size=3)
    members = {name: of_schema(one) for name, one in schema["properties"].items()}
    required = {name: members[name] for name in schema["required"]}
    return st.fixed_dictionaries(required, optional={k: v for k, v in members.items() if k not in required})


def passes(value: Any, schema: Schema) -> bool:
    try:
        check(value, schema)
    except Mismatch:
        return False
    return True


def places(value: Any) -> list[tuple[Any, ...]]:
    """The ways to every value inside of `value`, itself first."""
    found: list[tuple[Any, ...]] = [()]
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        found.extend((key, *rest) for rest in places(child))
    return found


def replaced(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    if not place:
        return other
    changed = copy.copy(value)
    changed[place[0]] = replaced(value[place[0]], place[1:], other)
    return changed


@given(of_schema(OUTER))
@settings(max_examples=40, deadline=None)
def test_what_the_schema_allows_passes(value: Any) -> None:
    assert JUDGE.is_valid(value)
    check(value, OUTER)


@given(of_schema(OUTER), VALUES, st.data())
@settings(max_examples=120, deadline=None)
def test_one_changed_value_is_judged_as_jsonschema_judges_it(
    value: Any, other: Any, data: st.DataObject
) -> None:
    changed = replaced(value, data.draw(st.sampled_from(places(value))), other)
    assert passes(changed, OUTER) == JUDGE.is_valid(changed)


@given(of_schema(OUTER), st.sampled_from(sorted(OUTER["required"])))
@settings(max_examples=30, deadline=None)
def test_a_missing_member_is_named(value: Any, name: str) -> None:
    del value[name]
    with pytest.raises(Mismatch, match=f"^{name}: is missing$"):
        check(value, OUTER)


@given(of_schema(OUTER), st.text(max_size=6))
@settings(max_examples=30, deadline=None)
def test_an_unknown_member_is_named_with_those_that_are_known(value: Any, name: str) -> None:
    assume(name not in OUTER["properties"])
    with pytest.raises(Mismatch, match=re.escape("is not known here; known are caches, id, count")):
        check({**value, name: 1}, OUTER)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_any_other_value_is_judged_alike(value: Any) -> None:
    for judge in JUDGES:
        assert passes(value, judge.schema) == judge.is_valid(value), judge.schema


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        ({"name": 5, "share": 1}, Inner, "name: is 5, not of type string"),
        ({"name": "", "share": 1}, Inner, "name: has 0 characters; allowed are 1 to 8"),
        ([1, "x"], list[int], "[1]: is 'x', not of type integer"),
        ({"a": {"name": "x", "share": None}}, dict[str, Inner], "a.share: is None, not of type number"),
        (True, int, "is True, not of type integer"),
        (1, bool, "is 1, not of type boolean"),
        (True, Literal[1], "is True, not one of 1"),
        ("x" * 100, Literal["a", "b"], f'is {"x" * 100!r:.57}..., not one of "a", "b"'),
        (9, Annotated[int, Bounds(0, 5)], "is 9; allowed are 0 to 5"),
        (
            "a0b1\n",
            Annotated[str, Pattern("[0-9a-f]{4}")],
            r"is 'a0b1\n', which does not match ^(?:[0-9a-f]{4})$",
        ),
        ({"x": "s"}, dict[str, int] | None, "x: is 's', not of type integer"),
    ],
)
def test_a_mismatch_says_where_and_what(value: Any, shape: Any, message: str) -> None:
    with pytest.raises(Mismatch) as mismatch:
        check(value, schema_of(shape))
    assert str(mismatch.value) == message


# --- query parameters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shape", "value"),
    [
        ("0", int, 0),
        ("-12", int, -12),
        ("007", int, 7),
        ("1.5", float, 1.5),
        ("3", float, 3.0),
        ("1e-05", float, 1e-05),
        ("true", bool, True),
        ("false", bool, False),
        ("", str, ""),
        ("5", str, "5"),
        ("on", Literal["on", "off"], "on"),
        ("2", Literal[0, 1, 2], 2),
        ("12", int | str, 12),
        ("12", int | None, 12),
        ("twelve", int | str, "twelve"),
    ],
)
def test_a_parameter_is_read_in_its_type(text: str, shape: Any, value: Any) -> None:
    read = from_text(text, schema_of(shape), "it")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "shape", "wanted"),
    [
        ("", int, "of type integer"),
        ("1.0", int, "of type integer"),
        ("0x10", int, "of type integer"),
        ("1_000", int, "of type integer"),
        ("٣", int, "of type integer"),
        (" 1", int, "of type integer"),
        ("1" * 101, int, "of type integer"),
        ("nan", float, "of type number"),
        ("inf", float, "of type number"),
        ("1e999", float, "of type number"),
        ("1" * 5000, float, "of type number"),
        ("True", bool, "of type boolean"),
        ("1", bool, "of type boolean"),
        ("", bool, "of type boolean"),
        ("maybe", Literal["on", 1], 'one of "on", 1'),
        ("x", int | bool, "of type integer or of type boolean"),
    ],
)
def test_a_parameter_of_another_type_is_refused(text: str, shape: Any, wanted: str) -> None:
    with pytest.raises(Mismatch, match=f"^it: is .*, not {re.escape(wanted)}$"):
        from_text(text, schema_of(shape), "it")


@given(
    st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.booleans()
)
@settings(max_examples=100, deadline=None)
def test_what_json_writes_is_read_back(value: Any) -> None:
    assume(len(json.dumps(value)) < 18)
    assert from_text(json.dumps(value), schema_of(type(value)), "it") == value


# --- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [set[int], tuple[int, ...], bytes, dict[int, str], object, list])
def test_a_type_without_a_json_shape_is_a_mistake_of_ours(shape: Any) -> None:
    with pytest.raises(TypeError):
        schema_of(shape)


@pytest.mark.parametrize(
    "shape",
    [
        Annotated[str | None, Pattern("x")],
        Annotated[int, Pattern("x")],
        Annotated[str, Bounds(0, 1)],
        Annotated[int, Length(3)],
        Annotated[int, 5],
    ],
)
def test_a_constraint_that_would_never_be_looked_at_is_one_too(shape: Any) -> None:
    with pytest.raises(TypeError, match="does not apply to"):
        schema_of(shape)


def test_components_stand_once_and_may_hold_themselves() -> None:
    components = Components()
    assert schema_of(list[Inner], components)["items"] == {"$ref": "#/components/schemas/Inner"}
    assert schema_of(Tree, components) == {"$ref": "#/components/schemas/Tree"}
    assert components.schemas["Tree"]["properties"]["children"]["items"] == {
        "$ref": "#/components/schemas/Tree"
    }
    assert components.schemas["Inner"]["description"] == "One of many."
    assert components.schemas["Inner"]["properties"]["name"]["description"] == "What it is called."


def test_two_types_of_one_name_cannot_be_one_component() -> None:
    components = Components()
    components.refer_to(Inner)
    other = TypedDict("Inner", {"x": int})  # type: ignore[misc]  # noqa: UP013  # the same name, meant
    with pytest.raises(TypeError, match="would be one component"):
        components.refer_to(other)
