"""Who may use the API of a running ComfyUI: as it starts by default, listening to other computers, with the option that
lets every page read its answers, and with both and the owner's leave.

Every rule by itself is tested in `tests/api/test_api_guard.py`; here ComfyUI's own server and its middlewares stand
around them, and a real browser asks from pages of other origins.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from api.raw_http import RawAnswer, exchange, request

from host.base import make_base
from host.browser import launch
from host.fixtures import StartComfyUI
from host.server import ComfyUI

JSON = ("Content-Type", "application/json")
#: For documentation (RFC 5737): nobody's.
EVIL = "http://203.0.113.66"
NO_BUILD = {"COMFY_ENV_BUILD": "off"}
STARTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "default": ([], {}),
    "listening": (["--listen", "0.0.0.0"], {}),
    "cors": (["--enable-cors-header", "*"], {}),
    "allowed": (["--listen", "0.0.0.0", "--enable-cors-header", "*"], {"COMFY_ENV_ALLOW_REMOTE": "1"}),
}
WITH_CORS = ("cors", "allowed")


@dataclasses.dataclass(frozen=True)
class Started:
    """`remote_url`: by which another computer would ask; None where it does not listen to any."""

    kind: str
    comfyui: ComfyUI
    remote_url: str | None

    @property
    def url(self) -> str:
        return self.comfyui.url

    def ask(
        self, line: str, *headers: tuple[str, str], body: bytes = b"", host: str | None = None
    ) -> RawAnswer:
        return request(self.url, line, headers, body, host)

    def change(self, *headers: tuple[str, str], host: str | None = None) -> RawAnswer:
        """Asks for a build of nothing, which is refused or does nothing."""
        return request(self.url, "POST /comfy-env/build", [JSON, *headers], b"{}", host)


@pytest.fixture(scope="module")
def servers(
    start_comfyui: StartComfyUI, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Started]]:
    """One of each kind, without packs. Their starts overlap: each waits for its disk most of the time."""
    place = tmp_path_factory.mktemp("protection")

    def start(kind: str) -> Started:
        arguments, variables = STARTS[kind]
        base = make_base(place / kind)
        environment = {**NO_BUILD, "COMFY_ENV_ROOT": str(place / "store"), **variables}
        comfyui = start_comfyui(base, environment=environment, arguments=arguments)
        own = own_address() if "--listen" in arguments else None
        return Started(kind, comfyui, None if own is None else f"http://{own}:{comfyui.port}")

    with ThreadPoolExecutor(len(STARTS)) as executor:
        started = dict(zip(STARTS, executor.map(start, STARTS), strict=True))
        yield started
        list(executor.map(lambda server: server.comfyui.stop(), started.values()))


@pytest.fixture(params=STARTS)
def server(servers: dict[str, Started], request: pytest.FixtureRequest) -> Started:
    return servers[request.param]


def own_address() -> str | None:
    """An address of this machine in some network."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            try:
                address = ipaddress.IPv4Address(one.address)
            except ValueError:
                continue
            if not address.is_loopback:
                return str(address)
    return None


def refused(answer: RawAnswer, status: int, code: str) -> bool:
    """By us, in our shape."""
    assert (answer.status, answer.code) == (status, code), answer
    return True


# --- what has to work -----------------------------------------------------------------------------------------------


def test_programs_and_the_own_page_are_answered(server: Started) -> None:
    own = [("Origin", server.url), ("Sec-Fetch-Site", "same-origin"), ("Comfy-User", "default")]
    for prefix in ("/comfy-env", "/api/comfy-env"):
        for headers in ([], own):
            status = server.ask(f"GET {prefix}/status", *headers)
            assert status.status == 200 and json.loads(status.content)["comfyui_version"]
            assert server.ask(f"GET {prefix}/openapi.json", *headers).status == 200
            page = server.ask(f"GET {prefix}/", *headers)
            assert page.status == 200 and page.headers["x-frame-options"] == "SAMEORIGIN"


def test_the_local_user_may_change_things_where_nobody_else_is_listened_to(server: Started) -> None:
    policy = json.loads(server.ask("GET /comfy-env/status").content)["policy"]
    if server.kind == "listening":
        assert not policy["may_change"] and "--listen" in policy["why_not"]
        assert refused(server.change(), 403, "not_local")
        assert refused(server.change(("Origin", server.url)), 403, "not_local")
    else:
        assert (policy["may_change"], policy["why_not"]) == (True, None)
        assert server.change().status == 202
        assert server.change(("Origin", server.url), ("Sec-Fetch-Site", "same-origin")).status == 202


@pytest.mark.parametrize("kind", ["listening", "allowed"])
def test_another_computer_reads_and_changes_what_its_owner_allows(
    servers: dict[str, Started], kind: str
) -> None:
    url = servers[kind].remote_url
    if url is None:
        pytest.skip("This machine has no address but loopback's: other computers were NOT tried.")
    assert request(url, "GET /comfy-env/status").status == 200
    changed = request(url, "POST /comfy-env/build", [JSON, ("Origin", url)], b"{}")
    if kind == "allowed":
        assert changed.status == 202
    else:
        assert refused(changed, 403, "not_local")
    assert refused(request(url, "GET /comfy-env/status", [("Origin", EVIL)]), 403, "cross_origin")
    assert refused(request(url, "GET /comfy-env/status", host="rebinding.example"), 403, "foreign_host")


# --- other pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.example"])
def test_a_page_of_another_origin_is_refused(server: Started, origin: str) -> None:
    sent = [("Origin", origin), ("Sec-Fetch-Site", "cross-site")]
    for line in (
        "GET /comfy-env/status",
        "GET /api/comfy-env/packs",
        "POST /comfy-env/build",
        "GET /comfy-env/no",
    ):
        answer = request(server.url, line, [JSON, *sent], b"{}")
        assert answer.status == 403
        # ComfyUI refuses most of them itself, with an empty answer, unless that option takes its check away.
        assert answer.code == "cross_origin" or (server.kind not in WITH_CORS and answer.content == b""), (
            answer
        )
    for answer in (server.ask("GET /comfy-env/status", sent[1]), server.change(sent[1])):
        assert refused(answer, 403, "cross_origin")


def test_a_name_that_was_made_to_lead_here_is_refused(server: Started) -> None:
    for host in ("rebinding.example", f"rebinding.example:{server.comfyui.port}", "127.0.0.1.nip.io"):
        assert refused(server.ask("GET /comfy-env/status", host=host), 403, "foreign_host")
        assert refused(server.ask("GET /comfy-env/", host=host), 403, "foreign_host")
        assert refused(server.change(host=host), 403, "foreign_host")


def test_what_a_form_can_send_is_refused(server: Started) -> None:
    types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
    for content_type in types:
        headers = [] if content_type is None else [("Content-Type", content_type)]
        for line in (
            "POST /comfy-env/build",
            "POST /api/comfy-env/build",
            "DELETE /comfy-env/environments/0123abcd",
        ):
            assert refused(request(server.url, line, headers, b"{}"), 415, "not_json")


def test_what_a_refused_page_is_shown_gives_nothing_away(servers: dict[str, Started]) -> None:
    """With that option a browser hands the refusal to the page."""
    for kind in WITH_CORS:
        answer = servers[kind].ask("GET /comfy-env/status", ("Origin", EVIL))
        assert answer.headers["access-control-allow-origin"] == "*"
        base = servers[kind].comfyui.base_directory
        shown = answer.content.decode()
        assert str(base) not in shown and str(Path.home()) not in shown and "0." not in shown


# --- requests that no browser sends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/comfy-env/../system_stats",
        "/comfy-env/%2e%2e/system_stats",
        "/comfy-env/..%2fsystem_stats",
        "/comfy-env/web/../../comfy_env_core/api/guard.py",
        "/comfy-env/web/..%2f..%2fpyproject.toml",
        "/comfy-env/web/%2e%2e/%2e%2e/pyproject.toml",
        "/comfy-env/web/..\\..\\pyproject.toml",
        "/comfy-env/web/..%5c..%5cpyproject.toml",
        "/comfy-env/web//etc/passwd",
        "/comfy-env/web/%2fetc%2fpasswd",
        "/comfy-env/web/panel.js%00.css",
        "/comfy-env/web/.git/config",
        "/comfy-env/environments/..%2f..%2fetc%2fpasswd",
        "/comfy-env/environments/%2e%2e",
        "/comfy-env/environments/..%00/log",
        "/comfy-env/environments/0123abcd/log/../../../status/x",
        "/comfy-env/environments/C:%5CWindows/manifest",
        "/comfy-env/workers/..%2f..%2f..%2fetc%2fpasswd/log",
        "/comfy-env/packs/..",
        "/comfy-env/jobs/%00",
        "/comfy-env/" + "%2e%2e%2f" * 400 + "etc/passwd",
    ],
)
def test_no_path_leads_anywhere_else(servers: dict[str, Started], target: str) -> None:
    for prefix in ("", "/api"):
        answer = servers["default"].ask(f"GET {prefix}{target}")
        assert answer.status == 404 and answer.error is not None, answer
        assert answer.error["code"].startswith("unknown_")
        assert "root:" not in answer.content.decode() and "[project]" not in answer.content.decode()


def test_ids_that_name_nothing_are_not_found(servers: dict[str, Started]) -> None:
    server = servers["default"]
    for line, code in (
        ("GET /comfy-env/environments/0123abcd", "unknown_environment"),
        ("POST /comfy-env/environments/0123abcd/rebuild", "unknown_environment"),
        ("DELETE /comfy-env/environments/0123abcd", "unknown_environment"),
        ("GET /comfy-env/workers/no%2Fsuch%2Fsite/log", "unknown_site"),
        ("POST /comfy-env/workers/nothing/restart", "unknown_site"),
        ("GET /comfy-env/packs/nothing", "unknown_pack"),
        ("GET /comfy-env/jobs/nothing", "unknown_job"),
    ):
        assert refused(request(server.url, line, [JSON], b"{}"), 404, code)


def test_bodies_have_an_end(servers: dict[str, Started]) -> None:
    server = servers["default"]
    large = b"{" + b" " * 70_000 + b"}"
    assert refused(request(server.url, "POST /comfy-env/build", [JSON], large), 413, "too_large")
    head = f"POST /comfy-env/build HTTP/1.1\r\nHost: {server.url[7:]}\r\nContent-Type: application/json\r\n"
    endless = b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    more = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    assert refused(exchange(server.url, head.encode() + endless, more, more), 413, "too_large")
    assert refused(request(server.url, "POST /comfy-env/build", [JSON], b"[" * 60_000), 400, "bad_request")
    assert refused(request(server.url, "POST /comfy-env/build", [JSON], b'{"sites": 1}'), 400, "bad_request")


def test_methods_that_are_not_there_are_told_which_are(servers: dict[str, Started]) -> None:
    answer = servers["default"].ask("PUT /comfy-env/status")
    assert refused(answer, 405, "wrong_method") and answer.headers["allow"] == "GET, HEAD"


# --- a browser ------------------------------------------------------------------------------------------------------

ASK_ALL = """async (url) => {
    const ask = async (path, init) => {
        try {
            const answer = await fetch(url + path, init);
            return [answer.status, answer.type === "opaque" ? "" : await answer.text()];
        } catch (error) {
            return [0, String(error)];
        }
    };
    const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
    const embedded = new Promise((done) => {
        const script = document.createElement("script");
        script.onload = () => done("loaded");
        script.onerror = () => done("refused");
        script.src = url + "/comfy-env/web/panel.js";
        document.head.append(script);
    });
    return {
        read: await ask("/comfy-env/status"),
        silent: await ask("/comfy-env/build", { method: "POST", mode: "no-cors", body: "{}" }),
        change: await ask("/comfy-env/build", json),
        embedded: await embedded,
    };
}"""


class BlankPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>somebody else's</title>")

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def foreign_page() -> Iterator[str]:
    """A page of another origin, and of another site, on this computer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BlankPage)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def jobs(server: Started) -> list[Any]:
    found: list[Any] = json.loads(server.ask("GET /comfy-env/jobs").content)["jobs"]
    return found


def test_in_a_browser_other_pages_get_nothing_and_change_nothing(
    servers: dict[str, Started], foreign_page: str, browser_path: str
) -> None:
    before = {kind: len(jobs(server)) for kind, server in servers.items()}
    with launch(browser_path) as browser:
        page = browser.new_page()
        page.goto(foreign_page)
        found = {kind: page.evaluate(ASK_ALL, server.url) for kind, server in servers.items()}
        complaints: list[str] = []
        page.on(
            "console", lambda message: complaints.append(message.text) if "Policy" in message.text else None
        )
        page.goto(servers["cors"].url + "/comfy-env/")  # a link to the panel works, from wherever
        page.wait_for_load_state("networkidle")
        assert (page.title(), complaints) == ("comfy-env manager", [])
        own = page.evaluate(ASK_ALL, "")
    assert own["read"][0] == 200 and own["change"][0] == 202
    for kind, seen in found.items():
        assert seen["embedded"] == "refused", kind
        for name in ("read", "change"):
            status, text = seen[name]
            assert (status, "cross_origin" in text) == ((403, True) if kind in WITH_CORS else (0, False)), (
                kind,
                seen,
            )
        assert seen["silent"][0] == 0, kind  # opaque: it came back, and says nothing
        assert len(jobs(servers[kind])) == before[kind] + (kind == "cors"), kind
