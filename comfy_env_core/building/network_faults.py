"""What it means that a page or a file could not be fetched: the connection, the proxy, a certificate, a login.

Told apart by the kind of error and by who was spoken to, never by its wording. Stdlib only: the bootstrap fetches too.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.user_settings import redact

_STATUS_CAUSES = {
    401: BuildCause.CREDENTIALS,
    403: BuildCause.CREDENTIALS,
    404: BuildCause.NO_SUCH_PACKAGE,
    407: BuildCause.PROXY,
    410: BuildCause.NO_SUCH_PACKAGE,
}


def fetch_error(url: str, error: Exception, proxies: Mapping[str, str]) -> BuildError:
    """The failure that `error` amounts to, raised by urllib or http.client while `url` was fetched.

    `proxies`: scheme → URL, as urllib was given them.
    """
    proxy = proxy_for(url, proxies)
    through = f" through the proxy {redact(proxy)!r}" if proxy else ""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        what = f"the server answered {error.code} {error.reason}".rstrip()
    elif isinstance(reason, ssl.SSLCertVerificationError):
        what = f"its certificate is not trusted here ({reason.verify_message})"
    elif isinstance(reason, http.client.IncompleteRead):
        what = "the transfer broke off"
    elif isinstance(reason, TimeoutError):
        what = "there was no answer in time"
    else:
        what = redact(str(reason)) or type(reason).__name__
    built = BuildError(_cause(error, reason, proxy), f"{redact(url)!r} cannot be fetched{through}: {what}.")
    built.__cause__ = error
    return built


def proxy_for(url: str, proxies: Mapping[str, str]) -> str | None:
    """The proxy that urllib speaks to for `url`, None for a direct connection."""
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or (parts.hostname and urllib.request.proxy_bypass(parts.hostname)):
        return None
    return proxy


def _cause(error: Exception, reason: object, proxy: str | None) -> BuildCause:
    if isinstance(error, urllib.error.HTTPError):
        return _STATUS_CAUSES.get(error.code, BuildCause.NETWORK)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return BuildCause.CERTIFICATE
    if proxy is not None and _is_the_proxys(reason):
        return BuildCause.PROXY
    return BuildCause.NETWORK


def _is_the_proxys(reason: object) -> bool:
    """Whether the connection to the proxy itself failed, or the proxy refused to connect us.

    http.client says the latter by an OSError without a number.
    """
    if isinstance(reason, (ConnectionRefusedError, socket.gaierror)):
        return True
    return type(reason) is OSError and reason.errno is None
