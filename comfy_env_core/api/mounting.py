"""Operations as aiohttp routes: guard, check, call on a thread, answer. Knows nothing of what they do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Any

from aiohttp import web

from comfy_env_core.api.bodies import read_body
from comfy_env_core.api.operation import PREFIX, Ask, FileAnswer, Operation
from comfy_env_core.api.refusals import BAD_REQUEST, INTERNAL, UNKNOWN_ROUTE, WRONG_METHOD, Refused
from comfy_env_core.api.schema import Mismatch, check, from_text, inline_schema

log = logging.getLogger("comfy-env.api")

#: Answers change from one moment to the next, nobody but the asker may keep them, and no other page may embed them.
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

#: What the path names, while a request is answered that `LateRoutes` found the route for.
path_ids: ContextVar[Mapping[str, str] | None] = ContextVar("path_ids", default=None)

#: Raises Refused for a request that nobody here should answer. The flag: whether the operation changes anything.
Guard = Callable[[web.Request, bool], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
            routes.route("*", PREFIX + path)(refusing_method(self._guard, allowed))
        routes.route("*", PREFIX + "/{path:.*}")(refusing(self._unknown))

    def _answering(self, operation: Operation) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self._guard(request, operation.changes)
            body = await read_body(request, operation) if operation.changes else {}
            ids = path_ids.get()
            ask = Ask(dict(request.match_info if ids is None else ids), _query(request, operation), body)
            loop = asyncio.get_running_loop()
            # Writing a large answer as JSON takes as long as making it: both are done on the thread.
            answered = await loop.run_in_executor(
                self._executor, lambda: _answer(operation, operation.handler(ask))
            )
            return answered.as_response()

        return refusing(answer)

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        self._guard(request, False)
        raise UNKNOWN_ROUTE.because(
            f"There is nothing at {request.path!r}.", f"GET {PREFIX}/openapi.json lists what there is."
        )


def refusing_method(guard: Guard, allowed: list[str]) -> Handler:
    """Answers requests whose method nothing at this path takes."""
    names = [*allowed, "HEAD"] if "GET" in allowed else allowed

    async def refuse(request: web.Request) -> web.StreamResponse:
        guard(request, False)
        refused = WRONG_METHOD.because(
            f"{request.path!r} does not take {request.method}.", f"Use {' or '.join(allowed)}."
        )
        return refusal(refused, {"Allow": ", ".join(names)})

    return refusing(refuse)


def refusing(handler: Handler) -> Handler:
    """The handler, whose refusals become answers, and whose mistakes do too."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return refusal(refused)
        except Exception as error:  # the boundary: whatever it is, the page gets our shape of it
            what = f"{request.method} {request.rel_url.raw_path}"  # encoded: no line ends get into the log
            log.exception("%s failed", what)
            return refusal(
                INTERNAL.because(
                    f"{what} failed: {type(error).__name__}: {error}",
                    "Please report it with the log of ComfyUI.",
                )
            )

    return answer


def refusal(refused: Refused, headers: Mapping[str, str] | None = None) -> web.Response:
    return dataclasses.replace(
        _json(refused.as_json(), refused.refusal.status), headers=headers or {}
    ).as_response()


@dataclasses.dataclass(frozen=True)
class _Answered:
    """What is sent: made on any thread, while aiohttp's responses belong to the event loop."""

    status: int
    content: bytes
    media_type: str
    charset: str | None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def as_response(self) -> web.Response:
        return web.Response(
            body=self.content,
            status=self.status,
            content_type=self.media_type,
            charset=self.charset,
            headers={**HEADERS, **self.headers},
        )


def _answer(operation: Operation, value: Any) -> _Answered:  # Any: of the type that the operation declares
    if not isinstance(value, FileAnswer):
        return _json(value, operation.status)
    media_type, _, charset = value.media_type.partition("; charset=")
    saved = {} if value.name is None else {"Content-Disposition": f'attachment; filename="{value.name}"'}
    return _Answered(operation.status, value.content, media_type, charset or None, saved)


def _json(value: Any, status: int) -> _Answered:
    text = _text(value, levels=2)
    # A lone surrogate, from a file name that is no UTF-8, would make the whole answer impossible.
    return _Answered(status, text.encode("utf-8", "backslashreplace"), "application/json", "utf-8")


#: Made once: making one takes longer than writing a small piece with it.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _text(value: Any, levels: int) -> str:
    """JSON, put together from pieces: Python's encoder holds the interpreter until it is done, and ComfyUI's event loop
    would stand still for as long as a large answer takes. `levels`: how deep the pieces lie."""
    if levels and isinstance(value, dict):
        members = (f"{_text(str(name), 0)}:{_text(member, levels - 1)}" for name, member in value.items())
        return "{" + ",".join(members) + "}"
    if levels and isinstance(value, list):
        return "[" + ",".join(_text(item, levels - 1) for item in value) + "]"
    return _ENCODER.encode(value)


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
            f"The query of {operation.path}: {mismatch}.", "/comfy-env/openapi.json says what it takes."
        ) from mismatch
    return values
