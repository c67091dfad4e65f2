"""What we take as a requirement is what pixi's own schema takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfy_env_core.config import ConfigError, parse_env

jsonschema = pytest.importorskip("jsonschema", reason="pixi's schema needs jsonschema to be checked against")

SCHEMA = Path(__file__).resolve().parents[3] / "shared" / "pixi" / "schema.json"
pytestmark = pytest.mark.skipif(
    not SCHEMA.is_file(), reason=f"pixi's schema is not beside the repository ({SCHEMA})"
)

SHAPES: tuple[Any, ...] = (
    *("*", "", ">=1", ">=1,<2", 1, True, [], {}),
    *({"version": "*"}, {"version": ""}, {"version": 1}, {"version": "*", "extras": ["a"]}),
    *({"extras": ["a"]}, {"extras": "a"}, {"extras": [""]}, {"index": "https://i", "version": "*"}),
    *(
        {"git": "u"},
        {"git": "u", "rev": "x"},
        {"git": "u", "rev": "x", "tag": "y"},
        {"git": "u", "version": "*"},
    ),
    *(
        {"git": "u", "branch": "b", "subdirectory": "s"},
        {"git": "u", "lfs": True},
        {"git": "u", "lfs": "yes"},
    ),
    *(
        {"url": "u"},
        {"url": "u", "version": "*"},
        {"path": "p", "editable": True},
        {"path": "p", "editable": "yes"},
    ),
    *({"channel": "c"}, {"channel": "c", "version": "*"}, {"build-number": "1"}, {"build-number": 1}),
    *({"flags": ["x"]}, {"when": "x"}, {"workspace": True}, {"nope": "x"}),
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)


@pytest.mark.parametrize("section", ["dependencies", "pypi-dependencies"])
@pytest.mark.parametrize("shape", SHAPES, ids=toml)
def test_requirement_is_taken_exactly_if_the_schema_takes_it(section: str, shape: Any) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    workspace = {"name": "x", "channels": ["conda-forge"], "platforms": ["linux-64"]}
    manifest = {"workspace": workspace, section: {"package": shape}}
    expected = jsonschema.validators.validator_for(schema)(schema).is_valid(manifest)
    try:
        parse_env(f"[{section}]\npackage = {toml(shape)}\n".encode(), Path("comfy-env.toml"))
        taken = True
    except ConfigError:
        taken = False
    assert taken == expected
