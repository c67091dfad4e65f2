"""The panel's files: which are served, as what, and how often."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web
from api.raw_http import RawAnswer, request, serving

from comfy_env_core.api.backend import HostFacts
from comfy_env_core.api.guard import Policy
from comfy_env_core.api.mounting import Mounting
from comfy_env_core.api.pages import PAGE_POLICY, Pages

PANEL = Path(__file__).parents[2] / "web"
NAVIGATION = [
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
]


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    directory = tmp_path / "web"
    files = {
        "index.html": '<!doctype html><script src="web/panel.js"></script>',
        "panel.js": "export {};",
        "views/log.js": "// ü",
        "panel.css": ":host {}",
        "vendor/lit/lit.mjs": "export {};",
        "picture.svg": "<svg/>",
        "strings.json": "{}",
        "README.md": "# not for browsers",
        "run.py": "import os",
        ".hidden.js": "secret",
        ".git/config.json": "secret",
    }
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    (tmp_path / "secret.json").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.js").write_text("secret")
    if os.name == "posix":
        (directory / "link.json").symlink_to(tmp_path / "secret.json")
        (directory / "linked").symlink_to(tmp_path / "outside")
    return directory


@pytest.fixture
def url(panel: Path) -> Iterator[str]:
    yield from serve(panel)


def serve(directory: Path) -> Iterator[str]:
    routes = web.RouteTableDef()
    policy = Policy.of(HostFacts(), {})
    with ThreadPoolExecutor(1) as executor:
        Pages(directory, policy, executor).add(routes)
        Mounting(policy.admit, executor).add(routes, [])
        with serving(routes) as address:
            yield address


def get(url: str, path: str, *headers: tuple[str, str]) -> RawAnswer:
    return request(url, f"GET {path}", headers)


@pytest.mark.parametrize("prefix", ["/comfy-env", "/api/comfy-env"])
def test_the_page_is_at_the_prefix(url: str, prefix: str) -> None:
    led = get(url, prefix)
    assert (led.status, led.headers["location"]) == (308, "comfy-env/")
    page = get(url, prefix + "/")
    assert (page.status, page.content[:15]) == (200, b"<!doctype html>")
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_the_page_takes_nothing_from_elsewhere_and_stands_in_no_foreign_frame(url: str) -> None:
    for path in ("/comfy-env/", "/comfy-env/web/index.html"):
        headers = get(url, path).headers
        policy = headers["content-security-policy"]
        assert {"default-src 'self'", "frame-ancestors 'self'", "object-src 'none'"} <= set(
            policy.split("; ")
        )
        assert "unsafe" not in policy
        assert headers["x-frame-options"] == "SAMEORIGIN"


def test_the_page_that_is_shipped_says_it_itself() -> None:
    """With --disable-api-nodes ComfyUI replaces the header by one that allows more."""
    text = " ".join((PANEL / "index.html").read_text("utf-8").split())
    assert f'<meta http-equiv="Content-Security-Policy" content="{PAGE_POLICY}" />' in text


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("panel.js", "text/javascript; charset=utf-8"),
        ("views/log.js", "text/javascript; charset=utf-8"),
        ("vendor/lit/lit.mjs", "text/javascript; charset=utf-8"),
        ("panel.css", "text/css; charset=utf-8"),
        ("picture.svg", "image/svg+xml; charset=utf-8"),
        ("strings.json", "application/json; charset=utf-8"),
    ],
)
def test_a_file_is_what_its_name_says(url: str, panel: Path, name: str, media_type: str) -> None:
    answer = get(url, f"/comfy-env/web/{name}")
    assert (answer.status, answer.content) == (200, (panel / name).read_bytes())
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nothing.js",
        "views",
        "views/",
        "views/../panel.js",
        "./panel.js",
        "/panel.js",
        "../secret.json",
        "..%2fsecret.json",
        "%2e%2e/secret.json",
        "%2e%2e%2fsecret.json",
        "..\\secret.json",
        "..%5csecret.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "C:/Windows/win.ini",
        "link.json",
        "linked/secret.js",
        ".hidden.js",
        ".git/config.json",
        "README.md",
        "run.py",
        "panel.js%00.css",
        "panel.js/",
        "PANEL.JS",
        "panel.js" + "x" * 4000,
    ],
)
def test_nothing_else_is_served(url: str, name: str) -> None:
    answer = get(url, f"/comfy-env/web/{name}")
    assert (answer.status, answer.code) == (404, "unknown_route"), answer
    assert b"secret\n" not in answer.content and b"root:" not in answer.content


def test_an_unchanged_file_costs_no_transfer_and_a_changed_one_is_sent(url: str, panel: Path) -> None:
    first = get(url, "/comfy-env/web/panel.js")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = get(url, "/comfy-env/web/panel.js", ("If-None-Match", known))
        assert (again.status, again.content, again.headers["etag"]) == (304, b"", tag)
    stamp = (panel / "panel.js").stat()
    (panel / "panel.js").write_text("export [];")  # as long, and, like files out of an archive, as old
    os.utime(panel / "panel.js", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    changed = get(url, "/comfy-env/web/panel.js", ("If-None-Match", tag))
    assert (changed.status, changed.content) == (200, b"export [];")


def test_a_file_that_came_or_went_meanwhile_is_noticed(url: str, panel: Path) -> None:
    assert get(url, "/comfy-env/web/later.js").status == 404
    (panel / "later.js").write_text("1")
    assert get(url, "/comfy-env/web/later.js").status == 200
    (panel / "later.js").unlink()
    assert get(url, "/comfy-env/web/later.js").status == 404


def edition_of(url: str) -> str:
    """The address of a file that the page names."""
    found = re.search(rb'src="(web-[^"]+)"', get(url, "/comfy-env/").content)
    assert found, "the page names no edition"
    return "/comfy-env/" + found[1].decode()


def test_what_the_page_names_is_kept_by_the_browser(url: str) -> None:
    address = edition_of(url)
    answer = get(url, address)
    assert (answer.status, answer.content) == (200, b"export {};")
    assert answer.headers["cache-control"] == "max-age=31536000, immutable"
    assert get(url, address.replace("panel.js", "views/log.js")).status == 200
    assert edition_of(url) == address
    assert get(url, "/comfy-env/").headers["cache-control"] == "no-cache"


def test_a_page_never_gets_files_of_two_editions(url: str, panel: Path) -> None:
    before = edition_of(url)
    (panel / "views" / "log.js").write_text("// new")
    assert get(url, before.replace("panel.js", "views/log.js")).content == "// ü".encode()
    after = edition_of(url)
    assert after != before
    assert get(url, after.replace("panel.js", "views/log.js")).content == b"// new"
    gone = get(url, before)
    assert (gone.status, gone.code) == (404, "unknown_route")
    assert gone.error is not None and "Reload the page" in gone.error["remedy"]


def test_a_page_that_is_open_while_the_server_restarts_goes_on(url: str, panel: Path) -> None:
    address = edition_of(url)
    for other in serve(panel):
        assert get(other, address).status == 200


@pytest.mark.parametrize("name", ["index.html/../panel.js", "../web/panel.js", "link.json", ".hidden.js", ""])
def test_an_edition_has_the_same_files_and_no_others(url: str, name: str) -> None:
    answer = get(url, edition_of(url).replace("panel.js", name))
    assert (answer.status, answer.code) == (404, "unknown_route"), answer


def test_head_and_other_methods(url: str) -> None:
    for path in ("/comfy-env/", "/comfy-env/web/panel.js", edition_of(url)):
        head = request(url, f"HEAD {path}")
        assert (head.status, head.content) == (200, b"") and "etag" in head.headers
        refused = request(url, f"POST {path}")
        assert (refused.status, refused.code, refused.headers["allow"]) == (405, "wrong_method", "GET, HEAD")
    assert request(url, "DELETE /comfy-env").code == "wrong_method"


def test_a_link_from_another_page_leads_to_the_page_and_to_nothing_else(url: str) -> None:
    assert get(url, "/comfy-env", *NAVIGATION).status == 308
    assert get(url, "/comfy-env/", *NAVIGATION).status == 200
    assert get(url, "/comfy-env/web/panel.js", *NAVIGATION).code == "cross_origin"
    framed = [*NAVIGATION[:2], ("Sec-Fetch-Dest", "iframe")]
    assert get(url, "/comfy-env/", *framed).code == "cross_origin"


def test_a_foreign_page_gets_none_of_it(url: str) -> None:
    paths = (
        "/comfy-env",
        "/comfy-env/",
        "/comfy-env/web/panel.js",
        "/comfy-env/web/nothing.js",
        edition_of(url),
    )
    for path in paths:
        assert get(url, path, ("Origin", "http://evil.example")).code == "cross_origin"
        assert request(url, f"GET {path}", host="evil.example").code == "foreign_host"


def test_the_panel_as_it_is_shipped_is_served_whole() -> None:
    """Every file that a browser could ask for has a kind that is known."""
    unserved = {".md", ".d.ts", ".ts", ".txt", ".map"}
    for url in serve(PANEL):
        for path in PANEL.rglob("*"):
            if path.is_file() and path.suffix and not unserved & {path.suffix, "".join(path.suffixes)}:
                name = path.relative_to(PANEL).as_posix()
                assert get(url, f"/comfy-env/web/{name}").content == path.read_bytes(), name
