"""What the server answers is what the panel's modules expect: each shape of the API held against its typedef."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from api.stage import Stage
from javascript import PROJECT, node_command, packages, run

#: Shapes that the panel reads, by their names on the server and in web/types.js.
SHAPES = {
    "StatusJson": "StatusJson",
    "SiteJson": "SiteJson",
    "BuildJson": "BuildJson",
    "WorkerJson": "WorkerJson",
    "JobJson": "JobJson",
    "EnvironmentJson": "EnvironmentJson",
    "EnvironmentDetail": "EnvironmentDetail",
    "PackJson": "PackJson",
    "LogPage": "LogPage",
    "DiskJson": "Disk",
    "GcPreview": "GcPreview",
    "SettingsJson": "SettingsJson",
    "FindingJson": "Finding",
    "PrerequisitesJson": "Prerequisites",
    "ChangesEvent": "ChangesEvent",
    "NodesEvent": "NodesEvent",
    "LogEvent": "LogEvent",
}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Stage(tmp_path_factory.mktemp("shapes")) as opened:
        return opened.open().get("/openapi.json")["components"]["schemas"]


def test_the_panel_can_read_all_that_the_server_writes(schemas: Any) -> None:
    assert not SHAPES.keys() - schemas.keys()
    done = type_checked(written(schemas))
    assert done.returncode == 0, done.stdout


def test_a_member_that_is_called_otherwise_is_noticed(schemas: Any) -> None:
    page = schemas["LogPage"]
    renamed = {**page["properties"], "ending": page["properties"]["end"]}
    del renamed["end"]
    done = type_checked(written({**schemas, "LogPage": {**page, "properties": renamed}}))
    assert "'end' is missing" in done.stdout


def written(schemas: Mapping[str, Any]) -> str:
    """A module in which what the server writes is handed to what the panel reads."""
    shapes = [f"type {name} = {_type(schema)};" for name, schema in schemas.items()]
    handed = [
        f'export const of{name} = (it: {name}): import("./web/types.js").{ours} => it;'
        for name, ours in SHAPES.items()
    ]
    return "\n".join([*shapes, *handed])


def type_checked(module: str) -> Any:
    options = json.loads((PROJECT / "tsconfig.json").read_text(encoding="utf-8"))["compilerOptions"]
    with tempfile.TemporaryDirectory(dir=packages()) as place:
        checkout = Path(place)
        shutil.copytree(PROJECT / "web", checkout / "web")
        (checkout / "shapes.ts").write_text(module, encoding="utf-8")
        config = {"compilerOptions": options, "files": ["shapes.ts"]}
        (checkout / "tsconfig.json").write_text(json.dumps(config), encoding="utf-8")
        tsc = checkout.parent / "node_modules" / "typescript" / "bin" / "tsc"
        return run([*node_command(), tsc], checkout)


def _type(schema: Mapping[str, Any]) -> str:
    """JSON Schema, as far as our document uses it, in TypeScript."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"({_type(schema['items'])})[]"
    if kind == "object":
        required = schema.get("required", ())
        members = [
            f"{json.dumps(name)}{'' if name in required else '?'}: {_type(member)}"
            for name, member in schema.get("properties", {}).items()
        ]
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            members.append(f"[name: string]: {_type(others)}")
        return f"{{ {'; '.join(members)} }}"
    return {"integer": "number", None: "any"}.get(kind, str(kind))
