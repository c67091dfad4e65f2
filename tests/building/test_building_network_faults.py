"""What is wrong with the network, told apart: the connection, the proxy, the certificate, the login."""

from __future__ import annotations

import dataclasses
import http.server
import time
from pathlib import Path

import pytest
from building.engines.samples import sha256, silent_server
from building.faulty_servers import answering, http_server, self_signed

from comfy_env_core.building.errors import REMEDIES, BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher, NotThere
from comfy_env_core.building.user_settings import UserSettings

CLOSED = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def failure(url: str, settings: UserSettings | None = None) -> BuildError:
    with pytest.raises(BuildError) as raised:
        Fetcher(settings or UserSettings(), timeout_s=5).page(url)
    return raised.value


def through(proxy: str) -> UserSettings:
    return UserSettings(proxies={"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy})


def test_a_certificate_that_nobody_trusts_is_told_as_such(tmp_path: Path) -> None:
    with http_server(answering(200), self_signed(tmp_path)) as url:
        error = failure(url)
        trusting = dataclasses.replace(UserSettings(), ca_bundle=tmp_path / "certificate.pem")
        assert Fetcher(trusting).page(url).body == b"no"
    assert error.cause is BuildCause.CERTIFICATE
    assert "self-signed certificate" in error.message or "self signed certificate" in error.message
    assert "SSL_CERT_FILE" in error.remedy


@pytest.mark.parametrize("url", ["http://files.invalid/x", "https://files.invalid/x"])
def test_a_proxy_that_refuses_us_is_told_as_such_and_its_password_is_not(url: str) -> None:
    with http_server(answering(407)) as proxy:
        error = failure(url, through(proxy.replace("//", "//me:s3cret@")))
    assert error.cause is BuildCause.PROXY, error
    assert "407" in error.message
    assert "through the proxy" in error.message
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("url", ["http://files.invalid/x", "https://files.invalid/x"])
def test_a_proxy_that_is_away_is_told_as_such(url: str) -> None:
    error = failure(url, through(CLOSED))
    assert error.cause is BuildCause.PROXY
    assert CLOSED in error.message


def test_without_a_proxy_the_same_is_the_network() -> None:
    assert failure(f"{CLOSED}/x").cause is BuildCause.NETWORK
    assert failure("http://files.invalid/x").cause is BuildCause.NETWORK


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, BuildCause.CREDENTIALS),
        (403, BuildCause.CREDENTIALS),
        (429, BuildCause.NETWORK),
        (503, BuildCause.NETWORK),
    ],
)
def test_an_answer_that_is_no_success_has_its_cause(status: int, cause: BuildCause) -> None:
    with http_server(answering(status)) as url:
        error = failure(url)
        assert Fetcher(UserSettings()).answers(url) is (status == 401)
    assert error.cause is cause
    assert str(status) in error.message


def test_a_page_that_is_not_there_is_no_fault_of_the_network() -> None:
    with http_server(answering(404)) as url:
        with pytest.raises(NotThere):
            Fetcher(UserSettings()).page(url)
        trouble = Fetcher(UserSettings()).trouble(url)
    assert trouble is not None and trouble.cause is BuildCause.NO_SUCH_PACKAGE


def test_a_download_that_breaks_off_is_the_networks_fault_and_leaves_nothing(tmp_path: Path) -> None:
    def break_off(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        request.wfile.write(b"x" * 1000)

    with http_server(break_off) as url, pytest.raises(BuildError) as raised:
        Fetcher(UserSettings()).download(url, tmp_path / "file", sha256(b""))
    assert raised.value.cause is BuildCause.NETWORK
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_does_not_wait_for_a_silent_server() -> None:
    started = time.monotonic()

    def cancel_soon() -> None:
        if time.monotonic() - started > 0.2:
            raise BuildError(BuildCause.CANCELLED, "cancelled")

    with silent_server() as url, pytest.raises(BuildError, match="cancelled"):
        Fetcher(UserSettings(), timeout_s=30.0, check=cancel_soon).page(url)
    assert time.monotonic() - started < 1.0


def test_every_cause_says_what_to_do() -> None:
    assert set(REMEDIES) == set(BuildCause)
    assert all(remedy.endswith(".") for remedy in REMEDIES.values())
