"""Who may ask and who may change, over a real server that has one route of each kind."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from api.raw_http import RawAnswer, request, serving

from comfy_env_core.api.backend import HostFacts
from comfy_env_core.api.guard import Policy
from comfy_env_core.api.mounting import Mounting
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import Refused

JSON = [("Content-Type", "application/json")]
LOCAL = HostFacts(listens_remotely=False)
REMOTE = HostFacts(listens_remotely=True)


def nothing(ask: Ask) -> dict[str, Any]:
    """Nothing."""
    return {}


OPERATIONS = [
    Operation("GET", "/thing", nothing, answer=dict[str, Any]),
    Operation("POST", "/thing", nothing, answer=dict[str, Any]),
    Operation("DELETE", "/thing", nothing, answer=dict[str, Any]),
]


class Server:
    def __init__(self, url: str) -> None:
        self.url = url
        self.netloc = url.removeprefix("http://")
        self.port = int(url.rpartition(":")[2])

    def read(self, *headers: tuple[str, str], host: str | None = None) -> RawAnswer:
        return request(self.url, "GET /comfy-env/thing", headers, host=host)

    def change(
        self, *headers: tuple[str, str], host: str | None = None, method: str = "POST", json: bool = True
    ) -> RawAnswer:
        return request(
            self.url, f"{method} /comfy-env/thing", [*(JSON if json else []), *headers], b"{}", host
        )


def make_server(
    facts: HostFacts, environ: Mapping[str, str], middlewares: tuple[Any, ...] = ()
) -> Iterator[Server]:
    routes = web.RouteTableDef()
    with ThreadPoolExecutor(1) as executor:
        Mounting(Policy.of(facts, environ).admit, executor).add(routes, OPERATIONS)
        with serving(routes, middlewares) as url:
            yield Server(url)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """As most people have it: for this computer alone."""
    yield from make_server(LOCAL, {"COMFY_ENV_ALLOWED_HOSTS": "comfy.example.org:443, *.proxy.example.net."})


@pytest.fixture(scope="module")
def listening() -> Iterator[Server]:
    yield from make_server(REMOTE, {})


@pytest.fixture(scope="module")
def allowing() -> Iterator[Server]:
    yield from make_server(REMOTE, {"COMFY_ENV_ALLOW_REMOTE": "1"})


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8188",
        "192.168.1.20:8188",
        "[::1]:8188",
        "[2001:db8::1]",
        "localhost:8188",
        "LocalHost.",
        "comfy.localhost:80",
        socket.gethostname(),
        f"{socket.gethostname().partition('.')[0]}.local:8188",
        "comfy.example.org",
        "comfy.example.org:8443",
        "COMFY.example.org.",
        "abc-8188.proxy.example.net",
        "a.b.proxy.example.net",
    ],
)
def test_a_name_of_this_server_is_answered(server: Server, host: str) -> None:
    assert server.read(host=host).status == 200
    assert server.change(host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8188",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "notlocalhost",
        "evil.example:8188@127.0.0.1",
        "127.0.0.1:8188@evil.example",
        "127.0.0.1:port",
        "127.0.0.1 evil.example",
        "127.0.0.1/evil.example",
        "[::1",
        "::1",
        "[127.0.0.1.evil.example]",
        "2130706433",
        "0x7f.1",
        "proxy.example.net",
        "notproxy.example.net",
        "xcomfy.example.org",
        ".",
        "*",
        "*.proxy.example.net.evil.example",
    ],
)
def test_a_name_that_leads_here_by_rebinding_is_refused(server: Server, host: str) -> None:
    for answer in (server.read(host=host), server.change(host=host)):
        assert (answer.status, answer.code) in ((403, "foreign_host"), (400, None)), answer


def test_the_refusal_of_a_name_says_how_its_owner_makes_it_known(server: Server) -> None:
    error = server.read(host="gpu7.example.com:8188").error
    assert error is not None and "COMFY_ENV_ALLOWED_HOSTS=gpu7.example.com" in error["remedy"]


def test_a_request_without_one_host_is_refused(server: Server) -> None:
    assert server.read(host="").status in (400, 403)
    assert server.read(("Host", "evil.example")).status in (400, 403)
    old = request(server.url, "GET /comfy-env/thing", host="")
    assert old.status in (400, 403)


# --- origins --------------------------------------------------------------------------------------------------------


def test_a_page_of_this_server_may_read_and_change(server: Server) -> None:
    own = ("Origin", server.url)
    assert server.read(own, ("Sec-Fetch-Site", "same-origin")).status == 200
    assert server.change(own, ("Sec-Fetch-Site", "same-origin")).status == 200


def test_a_program_sends_no_origin(server: Server) -> None:
    assert server.read().status == 200
    assert server.change().status == 200
    assert server.change(method="DELETE").status == 200


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://comfy.example.org", "comfy.example.org"),
        ("https://comfy.example.org", "comfy.example.org:443"),
        ("https://comfy.example.org:443", "comfy.example.org"),
        ("http://comfy.example.org", "comfy.example.org:80"),
        ("https://comfy.example.org:8443", "comfy.example.org:8443"),
        ("https://COMFY.example.org", "comfy.EXAMPLE.org"),
        ("http://[::1]:8188", "[::1]:8188"),
        ("http://localhost:8188", "localhost:8188"),
    ],
)
def test_a_page_behind_a_proxy_is_known_by_its_host(server: Server, origin: str, host: str) -> None:
    assert server.read(("Origin", origin), host=host).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://evil.example:8188",
        "null",  # a file, a sandboxed frame
        "",
        "file://",
        "chrome-extension://abcdefghijklmnop",
        "http://127.0.0.1:1",  # another program of this computer
        "http://127.0.0.1",
        "http://localhost:{port}",  # the same server by another name: another origin, for browsers
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}@evil.example",
        "http://evil.example@127.0.0.1:{port}",
        "http://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}#evil.example",
        "http://127.0.0.1:{port} http://evil.example",
        "http://127.0.0.1:{port},http://evil.example",
        "ftp://127.0.0.1:{port}",
        "//127.0.0.1:{port}",
        "127.0.0.1:{port}",
        "http://127.0.0.1:notaport",
        "http://[::1",
    ],
)
def test_a_page_of_another_origin_may_neither_read_nor_change(server: Server, origin: str) -> None:
    sent = ("Origin", origin.format(port=server.port))
    for answer in (server.read(sent), server.change(sent), server.change(sent, method="DELETE")):
        assert (answer.status, answer.code) == (403, "cross_origin"), answer


def test_two_origins_are_refused(server: Server) -> None:
    answer = server.read(("Origin", server.url), ("Origin", "http://evil.example"))
    assert answer.status in (400, 403)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something-new"])
def test_what_the_browser_says_of_the_asker_counts_where_it_sends_no_origin(
    server: Server, site: str
) -> None:
    """An image or a script of a foreign page comes without `Origin`."""
    answer = server.read(("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "no-cors"))
    assert (answer.status, answer.code) == (403, "cross_origin")


def test_what_the_user_typed_is_answered(server: Server) -> None:
    assert server.read(("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")).status == 200


# --- content --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json, text/plain",
        "application/jsonp",
        "text/json",
        "*/*",
    ],
)
def test_only_json_changes_anything(server: Server, content_type: str | None) -> None:
    headers = [] if content_type is None else [("Content-Type", content_type)]
    for method in ("POST", "DELETE"):
        answer = server.change(*headers, json=False, method=method)
        assert (answer.status, answer.code) == (415, "not_json"), answer


def test_json_may_name_its_charset(server: Server) -> None:
    assert server.change(("Content-Type", "Application/JSON; charset=utf-8"), json=False).status == 200


def test_two_content_types_are_refused(server: Server) -> None:
    assert server.change(("Content-Type", "text/plain")).status in (400, 415)


# --- this computer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["X-Forwarded-For", "x-forwarded-proto", "Forwarded", "X-Real-IP", "Via"])
def test_what_comes_through_a_proxy_is_not_local(server: Server, allowing: Server, header: str) -> None:
    answer = server.change((header, "127.0.0.1"))
    assert (answer.status, answer.code) == (403, "not_local")
    assert server.read((header, "127.0.0.1")).status == 200
    assert allowing.change((header, "203.0.113.9")).status == 200


def test_a_server_that_listens_to_others_takes_no_changes(listening: Server) -> None:
    answer = listening.change()
    assert (answer.status, answer.code) == (403, "not_local")
    assert answer.error is not None and "COMFY_ENV_ALLOW_REMOTE=1" in answer.error["remedy"]
    assert listening.read().status == 200


def test_its_owner_can_allow_them_to_others_but_not_to_other_pages(allowing: Server) -> None:
    assert allowing.change().status == 200
    assert allowing.change(("Origin", "http://evil.example")).code == "cross_origin"
    assert allowing.change(host="evil.example").code == "foreign_host"
    assert allowing.change(("Content-Type", "text/plain"), json=False).code == "not_json"


@pytest.mark.parametrize("text", ["0", "", "no", "false", "off", "please"])
def test_only_a_yes_allows_it(text: str) -> None:
    assert not Policy.of(REMOTE, {"COMFY_ENV_ALLOW_REMOTE": text}).allows_remote


def test_the_status_can_say_why_nothing_can_be_changed() -> None:
    assert Policy.of(LOCAL, {}).why_no_changes is None
    assert "--listen" in (Policy.of(REMOTE, {}).why_no_changes or "")
    assert Policy.of(REMOTE, {"COMFY_ENV_ALLOW_REMOTE": "yes"}).why_no_changes is None


@pytest.mark.parametrize(
    ("peer", "own", "is_local"),
    [
        (("127.0.0.1", 5000), ("127.0.0.1", 8188), True),
        (("127.8.8.8", 5000), ("127.0.0.1", 8188), True),
        (("::1", 5000, 0, 0), ("::1", 8188, 0, 0), True),
        (("::ffff:127.0.0.1", 5000, 0, 0), ("::ffff:127.0.0.1", 8188, 0, 0), True),
        ("", "/run/comfyui.sock", True),
        (("192.168.1.9", 5000), ("192.168.1.20", 8188), False),
        (("192.168.1.20", 5000), ("192.168.1.20", 8188), False),
        (("127.0.0.1", 5000), ("192.168.1.20", 8188), False),
        (("fe80::1%eth0", 5000, 0, 2), ("::1", 8188, 0, 0), False),
        (("::ffff:192.168.1.9", 5000, 0, 0), ("::1", 8188, 0, 0), False),
        (None, None, False),
    ],
)
def test_the_connection_counts_whatever_the_server_was_told(
    peer: object, own: object, is_local: bool
) -> None:
    ends = {"peername": peer, "sockname": own}
    transport = mock.Mock(get_extra_info=lambda name, default=None: ends.get(name, default))
    asked = make_mocked_request(
        "POST", "/", {"Host": "127.0.0.1", "Content-Type": "application/json"}, transport=transport
    )
    policy = Policy.of(LOCAL, {})
    if is_local:
        policy.admit(asked, changes=True)
    else:
        with pytest.raises(Refused) as refused:
            policy.admit(asked, changes=True)
        assert refused.value.refusal.code == "not_local"


# --- every page may ask, says ComfyUI -------------------------------------------------------------------------------


@web.middleware
async def cors(asked: web.Request, handler: Any) -> web.StreamResponse:
    """What `--enable-cors-header '*'` makes of ComfyUI's answers."""
    response: web.StreamResponse = web.Response() if asked.method == "OPTIONS" else await handler(asked)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization"
    return response


def test_a_foreign_page_that_comfyui_lets_read_learns_nothing() -> None:
    """It is told the same at every path, so that it cannot even ask what there is."""
    secret = {"COMFY_ENV_ROOT": "/home/someone/.ce"}
    for server in make_server(LOCAL, secret, (cors,)):
        evil = [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")]
        told = set()
        for line in (
            "GET /comfy-env/thing",
            "POST /comfy-env/thing",
            "PUT /comfy-env/thing",
            "GET /comfy-env/nothing",
            "GET /comfy-env/nothing?a=b",
            "HEAD /comfy-env/",
        ):
            answer = request(server.url, line, [*evil, *JSON])
            assert answer.status == 403
            if not line.startswith("HEAD"):
                told.add(answer.content)
        assert len(told) == 1
        assert b"someone" not in told.pop()
