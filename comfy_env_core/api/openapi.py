"""The OpenAPI 3.1 document, made from the same declarations that requests are checked with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from comfy_env_core import __version__
from comfy_env_core.api.operation import PREFIX, Ask, Operation
from comfy_env_core.api.refusals import ErrorAnswer, Refusal
from comfy_env_core.api.schema import Components, Schema, schema_of

_DESCRIPTION = """\
What ComfyUI's panel for isolated node packs is made of. All paths are there below `/api` as well.

A request may come from the server's own page or from a program, not from a page of another origin. What changes
something wants the header `Content-Type: application/json`, at least the body `{}`, and comes from this computer,
unless ComfyUI was started with `COMFY_ENV_ALLOW_REMOTE=1`. Every answer of 400 or more has the shape `ErrorAnswer`. An
answer of 202 names a job; `GET /comfy-env/jobs/{job_id}` tells how it goes on, and so do the events.
"""


class Document:
    """Made when it is first asked for. `events`: name of an event on ComfyUI's websocket → its payload, a TypedDict."""

    def __init__(self, operations: Sequence[Operation], events: Mapping[str, Any]) -> None:
        self._events = events
        shown = Operation("GET", "/openapi.json", self.show, answer=dict[str, Any], tag="about")
        self.operations = (*operations, shown)

    def show(self, ask: Ask) -> dict[str, Any]:
        """This document."""
        return self.content

    @functools.cached_property
    def content(self) -> dict[str, Any]:
        components = Components()
        components.refer_to(ErrorAnswer)
        responses: dict[str, Schema] = {}
        paths: dict[str, dict[str, Schema]] = {}
        for operation in self.operations:
            described = _operation(operation, components, responses)
            paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = described
        events = {
            name: {"description": _paragraphs(payload)[0], "payload": schema_of(payload, components)}
            for name, payload in self._events.items()
        }
        return {
            "openapi": "3.1.0",
            "info": {"title": "comfy-env manager", "version": __version__, "description": _DESCRIPTION},
            "servers": [{"url": "/"}],
            "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in self.operations)],
            "paths": paths,
            "components": {"schemas": components.schemas, "responses": responses},
            "x-events": events,
        }


def _operation(operation: Operation, components: Components, responses: dict[str, Schema]) -> Schema:
    summary, description = _paragraphs(operation.handler)
    described: Schema = {
        "operationId": _operation_id(operation),
        "tags": [operation.tag],
        "summary": summary,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {
            str(operation.status): _success(operation, components),
            **_refusals(operation, responses),
        },
    }
    if description:
        described["description"] = description
    if operation.result is not None:
        described["x-job-result"] = schema_of(operation.result, components)
    if operation.changes:
        content = {"application/json": {"schema": schema_of(operation.body, components)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _operation_id(operation: Operation) -> str:
    """ "post-environments-rebuild": stable as long as the path is."""
    words = [word for word in operation.path.split("/") if word and not word.startswith("{")]
    one = ["one"] if operation.path.endswith("}") else []
    return "-".join([operation.method.lower(), *words, *one]).replace(".", "-")


def _path_parameters(operation: Operation) -> Iterable[Schema]:
    for name in operation.parameters:
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": operation.ids[name],
            "schema": {"type": "string"},
        }


def _query_parameters(operation: Operation) -> Iterable[Schema]:
    record = schema_of(operation.query)
    for name, declared in record["properties"].items():
        schema = dict(declared)
        parameter = {"name": name, "in": "query", "required": name in record["required"]}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        yield {**parameter, "schema": schema}


def _success(operation: Operation, components: Components) -> Schema:
    media_type = operation.media_type.partition(";")[0]
    if media_type == "application/json":
        return {
            "description": HTTPStatus(operation.status).phrase,
            "content": {media_type: {"schema": schema_of(operation.answer, components)}},
        }
    kind: Schema = {"type": "string"} if media_type.startswith("text/") else {}
    return {"description": HTTPStatus(operation.status).phrase, "content": {media_type: {"schema": kind}}}


def _refusals(operation: Operation, responses: dict[str, Schema]) -> dict[str, Schema]:
    """By status, each with the codes that it can have here. Most operations share them, so they stand apart."""
    by_status: dict[int, dict[str, Refusal]] = {}
    for refusal in operation.possible_refusals:
        by_status.setdefault(refusal.status, {})[refusal.code] = refusal
    described = {}
    for status, refusals in sorted(by_status.items()):
        name = "-".join(refusals)
        responses[name] = _refusal(tuple(refusals.values()))
        described[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return described


def _refusal(refusals: Sequence[Refusal]) -> Schema:
    code = {"type": "object", "properties": {"code": {"enum": [one.code for one in refusals]}}}
    narrowed = {"type": "object", "properties": {"error": code}}
    schema = {"allOf": [{"$ref": "#/components/schemas/ErrorAnswer"}, narrowed]}
    return {
        "description": "\n".join(f"- `{one.code}`: {one.meaning}" for one in refusals),
        "content": {"application/json": {"schema": schema}},
    }


def _paragraphs(documented: Any) -> tuple[str, str]:
    """The first line of a docstring, and the rest. Any: a function or a class."""
    first, _, rest = inspect.cleandoc(documented.__doc__ or "").partition("\n")
    return first, rest.strip()
