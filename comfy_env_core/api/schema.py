"""JSON shapes from Python types. The types that mypy checks a handler with are the ones that requests are checked with
at run time and that the OpenAPI document shows, so that the three cannot drift apart.

Understood: `str`, `int`, `float`, `bool`, `None`, `Literal`, unions, `list[X]`, `dict[str, X]`, `TypedDict` (its
docstring becomes the description), and `Annotated` with the constraints below or a text that describes the field.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

Schema = dict[str, Any]  #: Any: JSON Schema (2020-12, the dialect of OpenAPI 3.1)

_SIMPLE: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Of a number, both ends included."""

    least: float | None = None
    most: float | None = None


@dataclasses.dataclass(frozen=True)
class Length:
    """Of a text in characters, or of a list in entries."""

    most: int
    least: int = 0


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A regular expression that the whole text matches; without `^` and `$`."""

    expression: str


class Mismatch(ValueError):
    """A value that is not of the shape. `where`: the place inside the value, "" for all of it."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
        self.problem = problem


class Components:
    """The schemas of all TypedDicts of a document, each once, by name."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._shapes: dict[str, Any] = {}

    def refer_to(self, shape: Any) -> Schema:
        """A reference to the schema of a TypedDict. Raises TypeError if another one has the same name."""
        name = shape.__name__
        if self._shapes.setdefault(name, shape) is not shape:
            raise TypeError(f"{shape!r} and {self._shapes[name]!r} would be one component.")
        if name not in self.schemas:
            schema = self.schemas[name] = {}  # before its members, one of which may be of the same type
            schema.update(_of_record(shape, self))
        return {"$ref": f"#/components/schemas/{name}"}


def schema_of(shape: Any, components: Components | None = None) -> Schema:
    """The schema of a type. With `components`, every TypedDict stands there and is referred to.

    Raises TypeError for a type that is not understood: a mistake in a declaration.
    """
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if shape in _SIMPLE:
        return {"type": _SIMPLE[shape]}
    if shape is Any:
        return {}
    if origin is Annotated:
        return _constrained(schema_of(arguments[0], components), arguments[1:])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one, components) for one in arguments]}
    if origin is list:
        return {"type": "array", "items": schema_of(arguments[0], components)}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": schema_of(arguments[1], components)}
    if typing.is_typeddict(shape):
        return _of_record(shape, None) if components is None else components.refer_to(shape)
    raise TypeError(f"{shape!r} has no JSON shape.")


def check(value: Any, schema: Schema, where: str = "") -> None:
    """Raises Mismatch where `value`, parsed JSON, is not what an inline schema of `schema_of` says."""
    if "anyOf" in schema:
        _check_any(value, schema["anyOf"], where)
        return
    if "enum" in schema:
        if not any(_is_same(value, known) for known in schema["enum"]):
            raise Mismatch(where, f"is {_shown(value)}, not {_wanted(schema)}")
        return
    kind = schema.get("type")
    if kind is None:
        return
    if not _is_a(value, kind):
        raise Mismatch(where, f"is {_shown(value)}, not {_wanted(schema)}")
    if kind == "object":
        _check_members(value, schema, where)
    elif kind == "array":
        _check_length(value, schema, where, "minItems", "maxItems", "entries")
        for number, item in enumerate(value):
            check(item, schema["items"], f"{where}[{number}]")
    elif kind == "string":
        _check_text(value, schema, where)
    elif kind in ("integer", "number"):
        _check_bounds(value, schema, where)


@functools.cache
def inline_schema(shape: Any) -> Schema:
    """`schema_of` without components, made once."""
    return schema_of(shape)


def from_text(text: str, schema: Schema, where: str) -> Any:
    """What a query parameter says, in the type that the schema wants. Raises Mismatch. It may be out of its bounds."""
    for one in schema.get("anyOf", [schema]):
        kind = one.get("type")
        if kind == "string" or not one:
            return text
        for known in one.get("enum", ()):
            if text == (known if isinstance(known, str) else json.dumps(known)):
                return known
        if kind == "integer" and _INTEGER.fullmatch(text):
            return int(text)
        if kind == "number" and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if kind == "boolean" and text in ("true", "false"):
            return text == "true"
    raise Mismatch(where, f"is {_shown(text)}, not {_wanted(schema)}")


# As in JSON. Longer ones are no figures of ours, and Python takes its time with them.
_INTEGER = re.compile(r"-?[0-9]{1,100}")
_NUMBER = re.compile(r"-?[0-9]{1,100}(\.[0-9]{1,100})?([eE][+-]?[0-9]{1,3})?")


def _wanted(schema: Schema) -> str:
    """What a value has to be, for people."""
    if "anyOf" in schema:
        return " or ".join(map(_wanted, schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(map(json.dumps, schema["enum"]))
    return f"of type {schema['type']}"


def _constrained(schema: Schema, constraints: tuple[Any, ...]) -> Schema:
    """Raises TypeError for a constraint that says nothing of such a value, and would never be looked at."""
    schema, kind = dict(schema), schema.get("type")
    for constraint in constraints:
        if isinstance(constraint, str):
            schema["description"] = constraint
        elif isinstance(constraint, Bounds) and kind in ("integer", "number"):
            named = {"minimum": constraint.least, "maximum": constraint.most}
            schema.update({name: value for name, value in named.items() if value is not None})
        elif isinstance(constraint, Pattern) and kind == "string":
            schema["pattern"] = f"^(?:{constraint.expression})$"
        elif isinstance(constraint, Length) and kind in ("array", "string"):
            what = "Items" if kind == "array" else "Length"
            schema.update({f"min{what}": constraint.least, f"max{what}": constraint.most})
        else:
            raise TypeError(f"{constraint!r} does not apply to {schema!r}.")
    return schema


def _of_record(shape: Any, components: Components | None) -> Schema:
    schema: Schema = {"type": "object"}
    if shape.__doc__ and not shape.__doc__.startswith("dict() ->"):
        schema["description"] = inspect.cleandoc(shape.__doc__)
    hints = typing.get_type_hints(shape, include_extras=True)
    schema["properties"] = {key: schema_of(hint, components) for key, hint in hints.items()}
    schema["required"] = sorted(shape.__required_keys__)
    schema["additionalProperties"] = False
    return schema


def _check_any(value: Any, schemas: list[Schema], where: str) -> None:
    problems = []
    for schema in schemas:
        try:
            check(value, schema, where)
            return
        except Mismatch as mismatch:
            problems.append(mismatch)
    raise max(problems, key=lambda mismatch: len(mismatch.where))  # the one that came furthest


def _check_members(value: Mapping[str, Any], schema: Schema, where: str) -> None:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise Mismatch(_inside(where, name), "is missing")
    for name, member in value.items():
        if name in known:
            check(member, known[name], _inside(where, name))
        elif schema.get("additionalProperties") is False:
            raise Mismatch(_inside(where, name), f"is not known here; known are {', '.join(known) or 'none'}")
        elif isinstance(schema.get("additionalProperties"), dict):
            check(member, schema["additionalProperties"], _inside(where, name))


def _check_text(value: str, schema: Schema, where: str) -> None:
    _check_length(value, schema, where, "minLength", "maxLength", "characters")
    if "pattern" in schema and not re.search(schema["pattern"].removesuffix("$") + r"\Z", value):
        raise Mismatch(where, f"is {_shown(value)}, which does not match {schema['pattern']}")


def _check_length(value: Any, schema: Schema, where: str, least: str, most: str, unit: str) -> None:
    if not schema.get(least, 0) <= len(value) <= schema.get(most, len(value)):
        raise Mismatch(
            where, f"has {len(value)} {unit}; allowed are {schema.get(least, 0)} to {schema[most]}"
        )


def _check_bounds(value: float, schema: Schema, where: str) -> None:
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        least, most = schema.get("minimum", "-"), schema.get("maximum", "-")
        raise Mismatch(where, f"is {value}; allowed are {least} to {most}")


def _is_a(value: Any, kind: str) -> bool:
    if kind == "object":
        return isinstance(value, dict)
    if kind == "array":
        return isinstance(value, list)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "integer":
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and value.is_integer()
        )
    if kind == "boolean":
        return isinstance(value, bool)
    return value is None if kind == "null" else isinstance(value, str)


def _is_same(value: Any, known: Any) -> bool:
    """As JSON has it: 1 and 1.0 are, 1 and true are not."""
    return bool(value == known) and isinstance(value, bool) == isinstance(known, bool)


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
