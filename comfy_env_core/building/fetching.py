"""Files over HTTP(S) with the user's proxies, certificates and credentials. Stdlib only.

urllib reads the proxy variables itself; this module adds the certificate store, credentials inside URLs or in .netrc
(sent to the named host only, never along a redirect), deadlines, checksums and errors with a cause.
"""

from __future__ import annotations

import base64
import dataclasses
import errno
import hashlib
import http.client
import netrc
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from comfy_env_core.building.cancellable import cancellable, cancellable_opening
from comfy_env_core.building.certificates import missing_authorities
from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.building.network_faults import fetch_error
from comfy_env_core.building.user_settings import UserSettings, redact

_CHUNK_BYTES = 256 * 1024


class NotThere(Exception):
    """The server answered that it has no such page (404, 410)."""


class TooLong(BuildError):
    """The file is longer than the caller wants to have."""

    def __init__(self, url: str, limit_bytes: int) -> None:
        message = f"{redact(url)!r} cannot be fetched: it has more than {limit_bytes} bytes."
        super().__init__(BuildCause.NETWORK, message)


@dataclasses.dataclass(frozen=True)
class Page:
    """One fetched document. `url` is where it was found in the end, the base of its relative links."""

    url: str
    content_type: str
    body: bytes


class Fetcher:
    """Fetches pages and files. `deadline` (of `time.monotonic`) bounds all its work, `timeout_s` one silence.

    `check` may raise to give up; it is asked every 0.1 s, also while a server is silent.
    """

    def __init__(
        self,
        settings: UserSettings,
        *,
        timeout_s: float = 20.0,
        deadline: float | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._deadline = deadline
        self._check = check

    def page(self, url: str, *, accept: str = "*/*", limit_bytes: int = 64 << 20) -> Page:
        """The document at `url`. Raises `NotThere`, or `BuildError` naming the host and what happened:
        NETWORK, PROXY, CERTIFICATE, CREDENTIALS."""
        try:
            with self._open(url, {"Accept": accept}) as response:
                body = b"".join(self._chunks(response, url, limit_bytes))
                return Page(response.geturl(), response.headers.get_content_type(), body)
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(url, error) from error

    def answers(self, url: str) -> bool:
        """True if the file at `url` can be had as far as one request tells: success, or a question for credentials.

        Asks for one byte; a server that knows no ranges and one whose file is empty (416) count as well.
        """
        trouble = self.trouble(url)
        return trouble is None or getattr(trouble.__cause__, "code", None) == 401

    def trouble(self, url: str) -> BuildError | None:
        """Why the file at `url` cannot be had, None if it can, as far as one request tells.

        Causes: those of `page`, and NO_SUCH_PACKAGE for a server that has no such file.
        """
        try:
            with self._open(url, {"Range": "bytes=0-0"}):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            return None if error.code == 416 else fetch_error(url, error, self._proxies())
        except (OSError, http.client.HTTPException) as error:
            return fetch_error(url, error, self._proxies())

    def size_bytes(self, url: str) -> int | None:
        """How large the file at `url` is, None if its server does not say or cannot be asked."""
        try:
            with self._open(url, {"Range": "bytes=0-0"}) as response:
                whole = response.headers.get("Content-Range", "").rpartition("/")[2]
                said = whole if response.status == 206 else response.headers.get("Content-Length", "")
                return int(said) if said.isdigit() else None
        except (OSError, http.client.HTTPException):
            return None

    def download(self, url: str, path: Path, sha256: str | None, *, limit_bytes: int = 1 << 30) -> None:
        """Writes the file at `url` to `path`, which exists afterwards only if it came whole and its sha256 is the
        given one (None: nobody publishes one).

        Raises `NotThere` or BuildError: as `page`, CHECKSUM, DISK_FULL, PERMISSION.
        """
        temporary = path.with_name(f"{path.name}.part")
        try:
            digest = self._stream(url, temporary, limit_bytes)
            if sha256 is not None and digest != sha256:
                raise BuildError(
                    BuildCause.CHECKSUM,
                    f"Downloading {redact(url)!r} gave a file with sha256 {digest}, expected {sha256}.",
                )
            os.replace(temporary, path)
        except OSError as error:
            raise disk_error(error, "Saving a download", path) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _stream(self, url: str, path: Path, limit_bytes: int) -> str:
        digest = hashlib.sha256()
        with open(path, "wb") as file:
            try:
                response = self._open(url, {})
            except (OSError, http.client.HTTPException) as error:
                raise self._failure(url, error) from error
            with response:
                chunks = self._chunks(response, url, limit_bytes)
                while True:
                    try:
                        chunk = next(chunks, b"")
                    except (OSError, http.client.HTTPException) as error:
                        raise self._failure(url, error) from error
                    if not chunk:
                        return digest.hexdigest()
                    digest.update(chunk)
                    file.write(chunk)  # outside the try: a full disk is not a network failure

    def _chunks(self, response: http.client.HTTPResponse, url: str, limit_bytes: int) -> Iterator[bytes]:
        announced = response.headers.get("Content-Length")
        if announced is not None and announced.isdigit() and int(announced) > limit_bytes:
            raise TooLong(url, limit_bytes)
        got = 0
        while chunk := cancellable(lambda: response.read(_CHUNK_BYTES), self._check):
            self._remaining_s(url)
            got += len(chunk)
            if got > limit_bytes:
                raise TooLong(url, limit_bytes)
            yield chunk
        if announced is not None and announced.isdigit() and got < int(announced):
            raise http.client.IncompleteRead(b"", int(announced) - got)

    def _open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        plain, authorization = _split_credentials(url)
        request = urllib.request.Request(plain, headers={"User-Agent": "comfy-env-manager", **headers})
        if authorization:
            # urllib would repeat an ordinary header at the target of a redirect, which may be somebody else's host
            request.add_unredirected_header("Authorization", authorization)
        parts = urlsplit(plain)
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler(self._proxies())]
        if parts.scheme == "https":
            context = ssl_context(self._settings, parts.hostname or "", parts.port)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        timeout_s = min(self._timeout_s, self._remaining_s(url))

        def connect() -> http.client.HTTPResponse:
            response: http.client.HTTPResponse = opener.open(request, timeout=timeout_s)
            return response

        return cancellable_opening(connect, self._check)

    def _proxies(self) -> dict[str, str]:
        """Proxies for urllib, from the environment and from pip's and pixi's files; it reads NO_PROXY by itself."""
        proxies = dict(urllib.request.getproxies())
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            if name in self._settings.proxies:
                proxies.setdefault(name[: -len("_PROXY")].lower(), self._settings.proxies[name])
        return proxies

    def _remaining_s(self, url: str) -> float:
        if self._deadline is None:
            return self._timeout_s
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the time set aside for the network is used up")
        return remaining

    def _failure(self, url: str, error: Exception) -> Exception:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            if error.code in (404, 410):
                return NotThere(redact(url))
        return fetch_error(url, error, self._proxies())


def ssl_context(settings: UserSettings, host: str, port: int | None) -> ssl.SSLContext:
    """The user's certificates, else this Python's own, else what `certificates` finds."""
    bundle = settings.ca_bundle
    if bundle is not None:
        directory = bundle.is_dir()
        context = ssl.create_default_context(
            cafile=None if directory else str(bundle), capath=str(bundle) if directory else None
        )
    else:
        context = ssl.create_default_context()
        missing = missing_authorities()
        if missing is not None:
            context.load_verify_locations(str(missing))
    if settings.client_certificate:
        context.load_cert_chain(str(settings.client_certificate))
    if settings.is_trusted(host, port):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _split_credentials(url: str) -> tuple[str, str | None]:
    """The URL without user and password, and the Authorization header that stands for them (or for .netrc's)."""
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.username is not None:
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    elif parts.hostname:
        user, password = _netrc_credentials(parts.hostname)
    if not user and not password:
        return urlunsplit(parts), None
    return urlunsplit(parts), "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _netrc_credentials(host: str) -> tuple[str, str]:
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):  # none there, or one that pip would pass over as well
        return "", ""
    return (found[0] or "", found[2] or "") if found else ("", "")
