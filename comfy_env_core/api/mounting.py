"""Operations as aiohttp routes: guard, check, call on a thread, answer. Knows nothing of what they do."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any

from aiohttp import web

from comfy_env_core.api.operation import PREFIX, Ask, FileAnswer, Operation
from comfy_env_core.api.refusals import (
    BAD_REQUEST,
    INTERNAL,
    TOO_LARGE,
    UNKNOWN_ROUTE,
    WRONG_METHOD,
    Refused,
)
from comfy_env_core.api.schema import Mismatch, check, from_text, inline_schema

log = logging.getLogger("comfy-env.api")

#: The longest body that any operation expects is a few hundred bytes.
LARGEST_BODY_BYTES = 64 * 1024
#: Answers change from one moment to the next, and nobody but the asker may keep them.
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

#: Raises Refused for a request that nobody here should answer. The flag: whether the operation changes anything.
Guard = Callable[[web.Request, bool], None]


class Mounting:
    """`executor`: where handlers run; ComfyUI's own threads are not ours to fill."""

    def __init__(self, guard: Guard, executor: Executor) -> None:
        self._guard = guard
        self._executor = executor

    def add(self, routes: web.RouteTableDef, operations: Iterable[Operation]) -> None:
        """Adds the routes, and answers of our own shape for everything else below the prefix."""
        methods: dict[str, list[str]] = {}
        for operation in operations:
            routes.route(operation.method, PREFIX + operation.path)(self._answering(operation))
            methods.setdefault(operation.path, []).append(operation.method)
        for path, allowed in methods.items():
            routes.route("*", PREFIX + path)(self._refusing_method(allowed))
        routes.route("*", PREFIX + "/{path:.*}")(self._unknown)

    def _answering(self, operation: Operation) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                self._guard(request, operation.changes)
                ask = Ask(
                    dict(request.match_info), _query(request, operation), await _body(request, operation)
                )
                loop = asyncio.get_running_loop()
                return _response(
                    operation, await loop.run_in_executor(self._executor, operation.handler, ask)
                )
            except Refused as refused:
                return refusal(refused)
            except Exception as error:  # the boundary: whatever it is, the page gets our shape of it
                log.exception("%s %s failed", request.method, operation.path)
                return refusal(
                    INTERNAL.because(
                        f"{operation.method} {operation.path} failed: {type(error).__name__}: {error}",
                        "Please report it with the log of ComfyUI.",
                    )
                )

        return answer

    def _refusing_method(self, allowed: list[str]) -> Callable[[web.Request], Any]:
        async def refuse(request: web.Request) -> web.Response:
            refused = WRONG_METHOD.because(
                f"{request.path!r} does not take {request.method}.", f"Use {' or '.join(allowed)}."
            )
            return refusal(refused, {"Allow": ", ".join(allowed)})

        return refuse

    async def _unknown(self, request: web.Request) -> web.Response:
        return refusal(
            UNKNOWN_ROUTE.because(
                f"There is nothing at {request.path!r}.", f"{PREFIX}/openapi.json lists what there is."
            )
        )


def refusal(refused: Refused, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json(refused.as_json(), refused.refusal.status, headers)


def _response(operation: Operation, value: Any) -> web.Response:
    if not isinstance(value, FileAnswer):
        return _json(value, operation.status)
    headers = dict(_HEADERS)
    if value.name is not None:
        headers["Content-Disposition"] = f'attachment; filename="{value.name}"'
    media_type, _, charset = value.media_type.partition("; charset=")
    return web.Response(body=value.content, content_type=media_type, charset=charset or None, headers=headers)


def _json(value: Any, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        # A lone surrogate, from a file name that is no UTF-8, would make the whole answer impossible.
        body=text.encode("utf-8", "backslashreplace"),
        status=status,
        content_type="application/json",
        charset="utf-8",
        headers={**_HEADERS, **(headers or {})},
    )


def _query(request: web.Request, operation: Operation) -> dict[str, Any]:
    """Raises Refused for a parameter that is unknown, given twice, or not of its shape."""
    schema = inline_schema(operation.query)
    known = schema["properties"]
    values: dict[str, Any] = {}
    try:
        for name, text in request.query.items():
            if name not in known:
                raise Mismatch(name, f"is no parameter here; known are {', '.join(known) or 'none'}")
            if name in values:
                raise Mismatch(name, "is given twice")
            values[name] = from_text(text, known[name], name)
        check(values, schema)
    except Mismatch as mismatch:
        raise BAD_REQUEST.because(
            f"The query of {operation.path}: {mismatch}.", "Correct the address."
        ) from mismatch
    return values


async def _body(request: web.Request, operation: Operation) -> dict[str, Any]:
    """The parsed body of an operation that changes something; {} for others, whose bodies nobody reads."""
    if not operation.changes:
        return {}
    content = await _read(request)
    try:
        value = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BAD_REQUEST.because(
            f"The body of {operation.method} {operation.path} is not JSON: {error}",
            "Send a JSON object, at least {}.",
        ) from error
    try:
        check(value, inline_schema(operation.body))
    except Mismatch as mismatch:
        raise BAD_REQUEST.because(
            f"The body of {operation.method} {operation.path}: {mismatch}.", "Correct the body."
        ) from mismatch
    body: dict[str, Any] = value
    return body


async def _read(request: web.Request) -> bytes:
    """Never more than is allowed, whatever the header says of its length."""
    content = bytearray()
    async for part in request.content.iter_chunked(LARGEST_BODY_BYTES):
        content += part
        if len(content) > LARGEST_BODY_BYTES:
            raise TOO_LARGE.because(
                f"The body is larger than {LARGEST_BODY_BYTES} bytes.", "Send what the operation asks for."
            )
    return bytes(content)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
