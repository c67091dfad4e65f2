"""The body of a request that changes something: read up to a limit, parsed strictly, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aiohttp import ClientPayloadError, web

from comfy_env_core.api.operation import Operation
from comfy_env_core.api.refusals import BAD_REQUEST, TOO_LARGE
from comfy_env_core.api.schema import Mismatch, check, inline_schema

#: The longest body that any operation expects is a few hundred bytes.
LARGEST_BYTES = 64 * 1024


async def read_body(request: web.Request, operation: Operation) -> dict[str, Any]:
    """The parsed body. Raises Refused for one that is too large, is no JSON, or is not of the declared shape."""
    what = f"The body of {operation.method} {operation.path}"
    try:
        value = parse_json(await _read(request, what))
    except (ValueError, RecursionError) as error:
        raise BAD_REQUEST.because(
            f"{what} is not JSON: {error}.", "Send a JSON object, at least {}."
        ) from error
    try:
        check(value, inline_schema(operation.body))
    except Mismatch as mismatch:
        raise BAD_REQUEST.because(
            f"{what}: {mismatch}.", "/comfy-env/openapi.json says what it takes."
        ) from mismatch
    body: dict[str, Any] = value
    return body


def parse_json(content: bytes) -> Any:
    """JSON that every reader understands alike (I-JSON, RFC 7493): in UTF-8, no name twice, whole characters, finite.

    A number that is whole is an `int`, however it is written. Raises ValueError, and RecursionError for what is nested
    without end.
    """
    value = json.loads(
        content.decode("utf-8"),
        object_pairs_hook=_object,
        parse_float=_number,
        parse_constant=_no_number,
    )
    json.dumps(value, ensure_ascii=False).encode(
        "utf-8"
    )  # UnicodeEncodeError, a ValueError, for half a character
    return value


async def _read(request: web.Request, what: str) -> bytes:
    """Never more than is allowed, whatever the header says of its length."""
    too_large = TOO_LARGE.because(
        f"{what} is larger than {LARGEST_BYTES} bytes.", "Send what the operation asks for."
    )
    if (request.content_length or 0) > LARGEST_BYTES:
        raise too_large
    content = bytearray()
    try:
        async for part in request.content.iter_chunked(LARGEST_BYTES):
            content += part
            if len(content) > LARGEST_BYTES:
                raise too_large
    except (ClientPayloadError, web.RequestPayloadError, ConnectionError) as error:
        raise BAD_REQUEST.because(f"{what} broke off: {error}.", "Send it again.") from error
    return bytes(content)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"{name!r} is there twice")
        members[name] = value
    return members


def _number(text: str) -> int | float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large")
    # Beyond that a float stands for more than one whole number.
    return int(number) if number.is_integer() and abs(number) <= 2**53 else number


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
