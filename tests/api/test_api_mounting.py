"""Operations over a real server: what reaches a handler, what it may answer, and every request that goes wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal, TypedDict

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from api.raw_http import RawAnswer, exchange, request, serving
from patience import PATIENCE_S

from comfy_env_core.api.bodies import LARGEST_BYTES, parse_json
from comfy_env_core.api.mounting import Mounting
from comfy_env_core.api.operation import Ask, FileAnswer, Operation
from comfy_env_core.api.refusals import BUSY, FOREIGN_HOST
from comfy_env_core.api.schema import Bounds, Length

JSON = ("Content-Type", "application/json")


class Seen(TypedDict):
    path: dict[str, str]
    query: dict[str, Any]
    body: dict[str, Any]
    thread: str


class Filter(TypedDict, total=False):
    tail: Annotated[int, Bounds(1, 100)]
    kind: Literal["one", "two"]
    fresh: bool


class Names(TypedDict, total=False):
    names: Annotated[list[str], Length(most=3)]
    count: int


class Handlers:
    """What the routes of these tests do."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.entered = threading.Event()
        self.may_leave = threading.Event()

    def see(self, ask: Ask) -> Seen:
        """What was asked."""
        self.asked.append(ask)
        thread = threading.current_thread().name
        return {"path": dict(ask.path), "query": dict(ask.query), "body": dict(ask.body), "thread": thread}

    def refuse(self, ask: Ask) -> Any:
        """No."""
        raise BUSY.because("It is being built.", "Wait.")

    def break_down(self, ask: Ask) -> Any:
        """A mistake."""
        raise KeyError("missing")

    def answer_oddly(self, ask: Ask) -> Any:
        """What JSON cannot hold, or hardly."""
        return {
            "text": "\ud800 ümlaut\n<b>",
            "number": float(ask.query.get("tail", 0)) if ask.query else float("nan"),
        }

    def write(self, ask: Ask) -> FileAnswer:
        """A text."""
        return FileAnswer("<script>zeile ü</script>".encode(), "text/plain; charset=utf-8")

    def pack(self, ask: Ask) -> FileAnswer:
        """A file to save."""
        return FileAnswer(b"PK", "application/zip", "bundle.zip")

    def wait(self, ask: Ask) -> dict[str, Any]:
        """Takes long."""
        self.entered.set()
        assert self.may_leave.wait(PATIENCE_S)
        return {}


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture(scope="module")
def url(handlers: Handlers) -> Iterator[str]:
    operations = [
        Operation("GET", "/things", handlers.see, answer=Seen, query=Filter),
        Operation("POST", "/things", handlers.see, answer=Seen, query=Filter, body=Names, status=202),
        Operation("GET", "/things/{thing}", handlers.see, answer=Seen, ids={"thing": "one"}),
        Operation("DELETE", "/things/{thing}", handlers.see, answer=Seen, ids={"thing": "one"}),
        Operation("GET", "/things/{thing}/parts/{part}", handlers.see, answer=Seen),
        Operation("POST", "/refuse", handlers.refuse, refusals=(BUSY,)),
        Operation("GET", "/broken", handlers.break_down),
        Operation("GET", "/broken/{thing}", handlers.break_down, ids={"thing": "one"}),
        Operation("GET", "/odd", handlers.answer_oddly, query=Filter),
        Operation("GET", "/text", handlers.write, media_type="text/plain; charset=utf-8"),
        Operation("GET", "/file", handlers.pack, media_type="application/zip"),
        Operation("GET", "/slow", handlers.wait, answer=dict[str, Any]),
    ]

    def guard(asked: web.Request, changes: bool) -> None:
        if asked.headers.get("X-Stranger"):
            raise FOREIGN_HOST.because(f"changes: {changes}", "Go away.")

    routes = web.RouteTableDef()
    with ThreadPoolExecutor(4, thread_name_prefix="ours") as executor:
        Mounting(guard, executor).add(routes, operations)
        with serving(routes) as address:
            yield address


def seen(answer: RawAnswer) -> Any:
    assert answer.status in (200, 202), answer
    return json.loads(answer.content)


# --- what reaches a handler -----------------------------------------------------------------------------------------


def test_a_handler_gets_typed_values_on_a_thread_of_ours(url: str) -> None:
    asked = seen(request(url, "GET /comfy-env/things?tail=5&kind=two&fresh=true"))
    assert asked["query"] == {"tail": 5, "kind": "two", "fresh": True}
    assert asked["thread"].startswith("ours")


def test_a_body_reaches_it_with_the_status_of_the_operation(url: str) -> None:
    answer = request(url, "POST /comfy-env/things", [JSON], b'{"names": ["a", "\\u00fc"], "count": 2.0}')
    assert answer.status == 202
    assert seen(answer)["body"] == {"names": ["a", "ü"], "count": 2}


def test_ids_are_decoded_and_may_hold_slashes(url: str) -> None:
    answer = request(url, "GET /comfy-env/things/pack%2Fnodes%2Fm%C3%A4sh%20%25")
    assert seen(answer)["path"] == {"thing": "pack/nodes/mäsh %"}


@pytest.mark.parametrize("prefix", ["/comfy-env", "/api/comfy-env"])
def test_every_route_is_there_below_api_too(url: str, prefix: str) -> None:
    assert seen(request(url, f"GET {prefix}/things/x"))["path"] == {"thing": "x"}


def test_a_body_of_a_get_is_nobodys_business(url: str) -> None:
    answer = request(url, "GET /comfy-env/things", [("Content-Type", "text/plain")], b"{not json")
    assert seen(answer)["body"] == {}


def test_a_chunked_body_is_put_together(url: str) -> None:
    head = f"POST /comfy-env/things HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Type: application/json\r\n"
    chunks = b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"cou\r\n7\r\nnt": 7}\r\n0\r\n\r\n'
    assert seen(exchange(url, head.encode() + chunks))["body"] == {"count": 7}


def test_head_answers_like_get_without_a_body(url: str) -> None:
    get, head = request(url, "GET /comfy-env/text"), request(url, "HEAD /comfy-env/text")
    assert head.status == 200 and head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == get.headers["content-type"]


# --- what goes back -------------------------------------------------------------------------------------------------


def test_answers_are_for_the_asker_alone(url: str) -> None:
    for answer in (request(url, "GET /comfy-env/things"), request(url, "GET /comfy-env/nothing")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_text_is_sent_as_text_and_never_as_a_page(url: str) -> None:
    answer = request(url, "GET /comfy-env/text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content.decode() == "<script>zeile ü</script>"


def test_a_file_is_saved_under_its_name(url: str) -> None:
    answer = request(url, "GET /comfy-env/file")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="bundle.zip"'


def test_a_text_that_is_no_unicode_does_not_cost_the_answer(url: str) -> None:
    answer = request(url, "GET /comfy-env/odd?tail=1")
    assert json.loads(answer.content)["text"] == "\ud800 ümlaut\n<b>"


def test_what_is_no_json_is_a_mistake_of_ours(url: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = request(url, "GET /comfy-env/odd")
    assert (answer.status, answer.code) == (500, "internal")
    assert "Out of range float values" in caplog.text


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_refusal_has_one_shape(url: str) -> None:
    answer = request(url, "POST /comfy-env/refuse", [JSON], b"{}")
    assert answer.status == 409
    assert json.loads(answer.content) == {
        "error": {"code": "busy", "message": "It is being built.", "remedy": "Wait."}
    }


def test_a_mistake_of_ours_has_it_too_and_its_traceback_is_in_the_log(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = request(url, "GET /comfy-env/broken")
    assert (answer.status, answer.code) == (500, "internal")
    assert answer.error is not None and "KeyError: 'missing'" in answer.error["message"]
    assert "in break_down" in caplog.text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ["/things", "/refuse", "/nothing"])
def test_the_guard_is_asked_before_anything_is_looked_at(url: str, method: str, path: str) -> None:
    answer = request(url, f"{method} /comfy-env{path}?bad=1", [("X-Stranger", "1")], b"{not json")
    assert (answer.status, answer.code) == (403, "foreign_host")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/things", "GET, POST, HEAD"),
        ("PATCH", "/things/x", "GET, DELETE, HEAD"),
        ("GET", "/refuse", "POST"),
        ("HEAD", "/refuse", "POST"),
        ("OPTIONS", "/file", "GET, HEAD"),
        ("PROPFIND", "/file", "GET, HEAD"),
    ],
)
def test_another_method_is_told_which_ones_there_are(url: str, method: str, path: str, allow: str) -> None:
    answer = request(url, f"{method} /comfy-env{path}")
    assert answer.status == 405
    assert answer.headers["allow"] == allow
    if method != "HEAD":
        assert answer.code == "wrong_method"


@pytest.mark.parametrize(
    "target",
    [
        "/comfy-env/nothing",
        "/comfy-env/things/",
        "/comfy-env//things",
        "/comfy-env/things/a/b",
        "/comfy-env/things/a/../../things",
        "/comfy-env/./things",
        "/comfy-env/../comfy-env/things",
        "/comfy-env/%2e%2e/comfy-env/things",
        "/comfy-env/..%2f..%2fetc%2fpasswd",
        "/comfy-env/things%00",
        "/comfy-env/\\..\\things",
        "/comfy-env/THINGS",
        "/comfy-env/" + "x" * 4000,
    ],
)
def test_a_path_is_taken_by_the_letter(url: str, target: str) -> None:
    answer = request(url, f"GET {target}")
    assert (answer.status, answer.code) == (404, "unknown_route"), answer


@pytest.mark.parametrize(
    ("raw", "id_"),
    [
        ("..", ".."),
        ("%2e%2e", ".."),
        ("..%2f..%2fetc%2fpasswd", "../../etc/passwd"),
        ("%2Fetc%2Fpasswd", "/etc/passwd"),
        ("a%00b", "a\0b"),
        ("%5C..%5C", "\\..\\"),
        ("C:%5CWindows", "C:\\Windows"),
        ("%0d%0aSet-Cookie:%20x", "\r\nSet-Cookie: x"),
        ("%FF", "%FF"),
        ("x" * 4000, "x" * 4000),
    ],
)
def test_an_id_is_a_text_whatever_it_looks_like(url: str, raw: str, id_: str) -> None:
    answer = request(url, f"GET /comfy-env/things/{raw}")
    assert seen(answer)["path"] == {"thing": id_}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("tail=x", "tail: is 'x', not of type integer"),
        ("tail=0", "tail: is 0; allowed are 1 to 100"),
        ("tail=", "tail: is '', not of type integer"),
        ("tail=1&tail=2", "tail: is given twice"),
        ("kind=three", "kind: is 'three', not one of"),
        ("fresh=1", "fresh: is '1', not of type boolean"),
        ("other=1", "other: is no parameter here; known are tail, kind, fresh"),
        ("%00=1", "is no parameter here"),
    ],
)
def test_a_wrong_parameter_is_named(url: str, query: str, message: str) -> None:
    answer = request(url, f"GET /comfy-env/things?{query}")
    assert (answer.status, answer.code) == (400, "bad_request")
    assert answer.error is not None and message in answer.error["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "is [], not of type object"),
        (b"null", "is None, not of type object"),
        (b'"text"', "is 'text', not of type object"),
        (b'{"names": "a"}', "names: is 'a', not of type array"),
        (b'{"names": ["a", 1]}', "names[1]: is 1, not of type string"),
        (b'{"names": ["a", "b", "c", "d"]}', "names: has 4 entries"),
        (b'{"count": 1.5}', "count: is 1.5, not of type integer"),
        (b'{"other": 1}', "other: is not known here; known are names, count"),
        (b'{"count": 1, "count": 2}', "'count' is there twice"),
        (b'{"count": NaN}', "NaN is no JSON"),
        (b'{"count": 1e999}', "1e999 is too large"),
        (b'{"count": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"names": ["\\ud800"]}', "not JSON"),
        (b'{"names": ["\xff"]}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "not JSON"),
        (b"names=a", "not JSON"),
    ],
)
def test_a_wrong_body_is_told_what_is_wrong(url: str, body: bytes, message: str) -> None:
    headers = [JSON] if body else [JSON, ("Content-Length", "0")]
    answer = request(url, "POST /comfy-env/things", headers, body)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert answer.error is not None and message in answer.error["message"]


def test_no_line_end_of_a_request_gets_into_the_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = request(url, "GET /comfy-env/broken/%0d%0aERROR%20all%20is%20lost")
    assert (answer.status, answer.code) == (500, "internal")
    assert "ERROR all is lost" not in caplog.text and "%0aERROR" in caplog.text


def test_a_body_that_says_that_it_is_too_large_is_not_read(url: str) -> None:
    answer = request(url, "POST /comfy-env/things", [JSON, ("Content-Length", str(10**12))])
    assert (answer.status, answer.code) == (413, "too_large")


def test_a_body_that_does_not_say_so_is_read_up_to_the_limit(url: str) -> None:
    head = f"POST /comfy-env/things HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Type: application/json\r\n"
    part = b"%x\r\n%s\r\n" % (LARGEST_BYTES, b" " * LARGEST_BYTES)
    answer = exchange(url, head.encode() + b"Transfer-Encoding: chunked\r\n\r\n", part, part)
    assert (answer.status, answer.code) == (413, "too_large")


def test_the_largest_body_is_taken(url: str) -> None:
    body = b"{}" + b" " * (LARGEST_BYTES - 2)
    assert request(url, "POST /comfy-env/things", [JSON], body).status == 202


def test_a_body_in_broken_chunks_is_a_bad_request(url: str, caplog: pytest.LogCaptureFixture) -> None:
    head = f"POST /comfy-env/things HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Type: application/json\r\n"
    answer = exchange(url, head.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")
    assert answer.status == 400


def test_who_hangs_up_in_the_middle_of_a_body_is_no_mistake_of_ours(
    url: str, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = url[7:].split(":")
    head = f"POST /comfy-env/things HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Type: application/json\r\n"
    asked = len(handlers.asked)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b'Content-Length: 20\r\n\r\n{"count"')
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"count"\r\n')
    assert request(url, "GET /comfy-env/things").status == 200  # after both, on the same loop
    assert len(handlers.asked) == asked + 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_who_hangs_up_before_the_answer_leaves_the_others_alone(
    url: str, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = url[7:].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET /comfy-env/slow HTTP/1.1\r\nHost: {url[7:]}\r\n\r\n".encode())
        assert handlers.entered.wait(PATIENCE_S)
    began = time.monotonic()
    assert request(url, "GET /comfy-env/things").status == 200
    assert time.monotonic() - began < 5
    handlers.may_leave.set()
    assert request(url, "GET /comfy-env/slow").status == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_large_answer_is_written_beside_the_event_loop() -> None:
    """A page asks for 200 environments while ComfyUI sends previews: its loop must not wait for our JSON."""
    environments = [{"id": number, "packages": [["name", "1.0"]] * 50} for number in range(20_000)]
    large = {"environments": environments, "run": "a"}

    def tell(ask: Ask) -> dict[str, Any]:
        """Much."""
        return large

    async def longest_pause() -> float:
        routes = web.RouteTableDef()
        with ThreadPoolExecutor(1) as executor:
            Mounting(lambda asked, changes: None, executor).add(routes, [Operation("GET", "/much", tell)])
            handler = next(route for route in routes if isinstance(route, web.RouteDef)).handler
            answering = asyncio.ensure_future(handler(make_mocked_request("GET", "/comfy-env/much")))  # type: ignore[arg-type]
            pauses, before = [0.0], time.monotonic()
            while not answering.done():
                await asyncio.sleep(0)
                pauses.append(time.monotonic() - before)
                before = time.monotonic()
        assert (await answering).status == 200
        return max(pauses)

    began = time.monotonic()
    json.dumps(large)
    takes_s = time.monotonic() - began
    assert asyncio.run(longest_pause()) < takes_s / 2


def test_parsed_numbers_are_whole_where_they_are_written_so() -> None:
    value = parse_json(b"[1.0, 1e3, -0.0, 0.5, 1e300, 9007199254740993.0]")
    assert value == [1, 1000, 0, 0.5, 1e300, 9007199254740992.0]
    assert [type(one) for one in value] == [int, int, int, float, float, int]
