"""The OpenAPI document: valid, complete, and about what is really there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from api.stage import Stage
from openapi_spec_validator import OpenAPIV31SpecValidator

from comfy_env_core.api import refusals
from comfy_env_core.api.operation import PREFIX, Operation
from comfy_env_core.api.refusals import Refusal
from comfy_env_core.api.routes import EVENTS, operations


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Stage(tmp_path_factory.mktemp("openapi")) as opened:
        yield opened.open()


@pytest.fixture(scope="module")
def document(stage: Stage) -> Any:
    return stage.get("/openapi.json")


@pytest.fixture(scope="module")
def declared(stage: Stage) -> list[Operation]:
    return operations(stage.backend)


def test_it_is_valid_openapi(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_is_in_it_and_nothing_else(document: Any, declared: list[Operation]) -> None:
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    wanted = {(one.method.lower(), PREFIX + one.path) for one in declared}
    assert described == wanted | {("get", f"{PREFIX}/openapi.json")}


def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: Any) -> None:
    referred = set(re.findall(r"#/components/(\w+/[^'\"]+)", str(document)))
    there = {f"{kind}/{name}" for kind, entries in document["components"].items() for name in entries}
    assert referred == there


def test_every_operation_says_what_it_does(declared: list[Operation]) -> None:
    for operation in declared:
        what = f"{operation.method} {operation.path}"
        assert operation.handler.__doc__, what
        assert operation.handler.__doc__.splitlines()[0].endswith((".", "?")), what
        assert operation.tag, what
        assert set(operation.ids) == set(operation.parameters), what
        assert operation.changes or operation.status == 200, what
        assert (operation.status == 202) == (operation.result is not None), what


def test_every_operation_is_called_otherwise(document: Any) -> None:
    names = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert sorted(names) == sorted(set(names))


def test_changes_want_a_body_and_tell_of_every_refusal_of_the_guard(document: Any) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            codes = {code for name in operation["responses"].values() for code in codes_of(document, name)}
            wanted = {"bad_request", "foreign_host", "cross_origin", "internal"}
            if method != "get":
                wanted |= {"not_local", "too_large", "not_json"}
                assert operation["requestBody"]["required"], (method, path)
            assert wanted <= codes, (method, path)


def codes_of(document: Any, response: Any) -> list[str]:
    if "$ref" not in response:
        return []
    described = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    (schema,) = (content["schema"] for content in described["content"].values())
    found: list[str] = schema["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"]
    return found


def test_every_code_means_one_thing_and_is_told_of(document: Any) -> None:
    table = [value for value in vars(refusals).values() if isinstance(value, Refusal)]
    assert len({one.code for one in table}) == len(table)
    told = {code for name in document["components"]["responses"] for code in name.split("-")}
    # Told by the paths themselves: no operation answers with them.
    assert {one.code for one in table} - told == {"unknown_route", "wrong_method"}


def test_events_are_described_with_their_payload(document: Any) -> None:
    assert set(document["x-events"]) == set(EVENTS)
    for event in document["x-events"].values():
        name = event["payload"]["$ref"].rpartition("/")[2]
        assert event["description"] and document["components"]["schemas"][name]["properties"]


def test_every_event_that_has_a_name_is_one_of_them() -> None:
    api = Path(__file__).parents[2] / "comfy_env_core" / "api"
    named = re.findall(
        r'^\w+_EVENT = "(.+)"$', "\n".join(path.read_text("utf-8") for path in api.glob("*.py")), re.MULTILINE
    )
    assert sorted(named) == sorted(EVENTS)
