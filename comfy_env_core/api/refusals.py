"""Why a request is refused: one shape for all of them, and one table of codes."""

from __future__ import annotations

import dataclasses
from typing import TypedDict


class ErrorBody(TypedDict):
    """What went wrong and what to do about it, for people; `code` is for programs and never changes its meaning."""

    code: str
    message: str
    remedy: str


class ErrorAnswer(TypedDict):
    """The body of every answer with a status of 400 or more."""

    error: ErrorBody


class Refused(Exception):
    """A request that gets no other answer. Raised by handlers, guards and checks alike."""

    def __init__(self, refusal: Refusal, message: str, remedy: str) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.message = message
        self.remedy = remedy

    def as_json(self) -> ErrorAnswer:
        return {"error": {"code": self.refusal.code, "message": self.message, "remedy": self.remedy}}


@dataclasses.dataclass(frozen=True)
class Refusal:
    """`meaning`: for the OpenAPI document."""

    status: int
    code: str
    meaning: str

    def because(self, message: str, remedy: str) -> Refused:
        """To be raised. `message`: what was attempted, on what, and what happened; `remedy`: what to do next."""
        return Refused(self, message, remedy)


BAD_REQUEST = Refusal(400, "bad_request", "A parameter or the body is not of the documented shape.")
CROSS_ORIGIN = Refusal(403, "cross_origin", "The request comes from a page of another origin.")
FOREIGN_HOST = Refusal(403, "foreign_host", "The request was sent to a name that is not this server's own.")
NOT_LOCAL = Refusal(
    403, "not_local", "Changes are for the local user, unless the server's owner allows others."
)
UNKNOWN_ROUTE = Refusal(404, "unknown_route", "Nothing is at this path.")
UNKNOWN_ENVIRONMENT = Refusal(404, "unknown_environment", "No environment has this id.")
UNKNOWN_SITE = Refusal(404, "unknown_site", "No isolated directory has this id.")
UNKNOWN_PACK = Refusal(404, "unknown_pack", "No pack has this name.")
UNKNOWN_PLACE = Refusal(404, "unknown_place", "No place for the store has this id.")
UNKNOWN_JOB = Refusal(404, "unknown_job", "No job has this id, or it ended long ago.")
NO_FILE = Refusal(404, "no_file", "There is no such file.")
NO_LOG = Refusal(404, "no_log", "Nothing was written yet.")
WRONG_METHOD = Refusal(405, "wrong_method", "The path exists, for other methods.")
BUSY = Refusal(409, "busy", "Something else is going on with it.")
NOT_POSSIBLE = Refusal(409, "not_possible", "Its present state does not allow it.")
TOO_LARGE = Refusal(413, "too_large", "The body is larger than any that is expected.")
NOT_JSON = Refusal(415, "not_json", "The content type is missing, or is not application/json.")
INTERNAL = Refusal(500, "internal", "A mistake in comfy-env manager; the server's log has the details.")
DISK = Refusal(507, "disk", "The disk refuses.")
