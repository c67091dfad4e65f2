"""One route, declared once: what is checked when it is called and what the OpenAPI document says of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from comfy_env_core.api.refusals import (
    BAD_REQUEST,
    CROSS_ORIGIN,
    FOREIGN_HOST,
    INTERNAL,
    NOT_JSON,
    NOT_LOCAL,
    TOO_LARGE,
    Refusal,
)

#: Every path below starts with it.
PREFIX = "/comfy-env"
_PARAMETER = re.compile(r"\{(\w+)\}")
#: What can meet every request, and every one that changes something, before its handler hears of it.
ALWAYS = (BAD_REQUEST, FOREIGN_HOST, CROSS_ORIGIN, INTERNAL)
FOR_CHANGES = (NOT_LOCAL, TOO_LARGE, NOT_JSON)


class NoBody(TypedDict):
    """An empty object, `{}`: it says that the sender can send JSON, which a form of a foreign page cannot."""


class NoQuery(TypedDict):
    """No parameters."""


@dataclasses.dataclass(frozen=True)
class Ask:
    """A request after all checks. Any: of the shapes that the operation declares.

    - `path`: the ids in the path, decoded. They are texts to look up, never parts of a path or a command.
    - `query`: the parameters that were given.
    - `body`: of POST and DELETE.
    """

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class FileAnswer:
    """An answer that is no JSON. `name`: what a browser saves it as; None to show it."""

    content: bytes
    media_type: str
    name: str | None = None


@dataclasses.dataclass(frozen=True)
class Operation:
    """- `path`: below `PREFIX`, with `{ids}`. `ids`: what each of them is, for people.
    - `handler`: called on a thread of ours with an `Ask`; its docstring is the description, the first line the summary.
      Returns a value of the type `answer`, or a `FileAnswer` of the media type `media_type`.
    - `query`, `body`: TypedDicts.
    - `status`: 202 for what goes on after the answer, which names a job then. `result`: what that job's result is, a
      TypedDict.
    - `refusals`: those that its handler raises.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Callable[[Ask], Any]
    answer: Any = None
    ids: Mapping[str, str] = dataclasses.field(default_factory=dict)
    query: Any = NoQuery
    body: Any = NoBody
    status: int = 200
    result: Any = None
    refusals: tuple[Refusal, ...] = ()
    media_type: str = "application/json"
    tag: str = ""

    @property
    def changes(self) -> bool:
        """Whether it may change anything."""
        return self.method != "GET"

    @property
    def possible_refusals(self) -> tuple[Refusal, ...]:
        """Its own, and those of the guard and of the checks."""
        return (*ALWAYS, *(FOR_CHANGES if self.changes else ()), *self.refusals)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(_PARAMETER.findall(self.path))
