"""Every key of pixi's schema that a file may hold is passed on so that pixi takes it, or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from building.test_building_nothing_dropped import FILE, SHARED, complaints, plans, silent

from comfy_env_core.building.toml_text import toml_key, toml_value
from comfy_env_core.config import ConfigError, parse_env

SCHEMA = SHARED / "pixi" / "schema.json"
#: One file is one environment, and describes no package. (`project` is an older word for `workspace`.)
NOT_OURS = ("environments", "feature", "package")
#: Where the schema is wider than its meaning: a revision without a repository, a word for a version, a platform that
#: is none, an index without an address. The last part of the key that the refusal names.
WIDER = {
    *("word", "version", "branch", "tag", "rev", "lfs", "subdirectory", "editable", "platforms"),
    *("index", "index-url", "extra-index-urls"),
}
#: Definitions that examples do not go into: packages to be built, and conditions, both pixi's own affair.
OPAQUE = ("Package", "WhenAll", "WhenAny", "WhenPackage")

# Any: JSON and TOML.
DEFINITIONS: dict[str, Any] = json.loads(SCHEMA.read_text())["$defs"] if SCHEMA.exists() else {}
TOP_LEVEL: dict[str, Any] = json.loads(SCHEMA.read_text())["properties"] if SCHEMA.exists() else {}


def examples(schema: Any, depth: int = 0) -> Iterator[Any]:
    """Values that the schema takes: each alternative, and of a table each key by itself beside the required ones."""
    reference = str(schema.get("$ref", "")).rpartition("/")[2]
    if depth > 9 or reference in OPAQUE:
        return
    if reference:
        yield from examples(DEFINITIONS[reference], depth + 1)
    elif "anyOf" in schema and "properties" not in schema:
        for alternative in schema["anyOf"]:
            yield from examples(alternative, depth + 1)
    elif "const" in schema:
        yield schema["const"]
    elif "enum" in schema:
        yield from schema["enum"]
    elif schema.get("type") == "array":
        yield from ([item] for item in examples(schema["items"], depth + 1))
    elif schema.get("type") == "object" or "properties" in schema:
        yield from tables(schema, depth)
    else:
        yield from plain(schema)


def tables(schema: Any, depth: int) -> Iterator[Any]:
    known = schema.get("properties", {})
    required = {name: next(examples(known[name], depth + 1), None) for name in schema.get("required", ())}
    if None in required.values():
        return
    if required:
        yield required
    for name, inner in known.items():
        yield from ({**required, name: value} for value in examples(inner, depth + 1))
    for inner in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        if isinstance(inner, dict):
            yield from ({"word": value} for value in examples(inner, depth + 1))


def plain(schema: Any) -> Iterator[Any]:
    pattern = schema.get("pattern", "")
    if schema.get("type") != "string":
        yield from {"boolean": (True, False), "integer": (7,), "number": (12.5,)}[schema["type"]]
    elif pattern.startswith("^(\\d{4}"):
        yield from ("2025-06-01", "7d", "2025-06-01T10:00:00Z")
    elif "{32}" in pattern or "{64}" in pattern:
        yield "a" * (32 if "{32}" in pattern else 64)
    else:
        yield "https://host/x" if schema.get("format") == "uri" else "word"


@pytest.mark.skipif(not SCHEMA.exists(), reason=f"SKIPPED LOUDLY: pixi's schema is not at {SCHEMA}")
@pytest.mark.parametrize("key", sorted(TOP_LEVEL.keys() - {*NOT_OURS, "project"}))
def test_each_key_of_pixis_schema_is_passed_on_or_refused_for_a_reason(key: str) -> None:
    taken = 0
    for example in examples(TOP_LEVEL[key]):
        value = {"linux-64": example["word"]} if key == "target" else example
        source = f"{toml_key(key)} = {toml_value(value)}\n".encode()
        try:
            spec = parse_env(source, FILE)
        except ConfigError as error:
            assert str(error.key).rpartition(".")[2] in WIDER, error
            continue
        made = plans(spec, with_gpu=False)
        assert silent(source, spec, made) == []
        for plan in made:
            manifest = plan.manifest()
            assert complaints(manifest) == [], manifest
        taken += 1
    assert taken or key == "tool"


@pytest.mark.parametrize("key", NOT_OURS)
def test_what_is_not_an_environment_is_refused_or_said_to_have_no_effect(key: str) -> None:
    try:
        (warning,) = parse_env(f"[{key}.x]\n".encode(), FILE).warnings
    except ConfigError as error:
        assert "one file describes one environment" in error.problem
    else:
        assert "no effect" in warning.problem
