"""Who may ask, and who may change anything.

A page that is open in the same browser may send requests to ComfyUI too, whatever its address is, and so may every
computer that can reach the server. What protects the user, in the order in which it is looked at:

1. The `Host` header names this server: an IP address, a name of the machine itself, or one that the owner lists. A
   page whose own name was made to lead here (DNS rebinding) sends that name.
2. The request does not come from a page of another origin, by `Origin` and by `Sec-Fetch-Site`. Reading is refused as
   well: with `--enable-cors-header` ComfyUI tells browsers to hand every answer to any page.
3. What changes something is sent as `application/json`, which no form can, and a foreign page only after a question
   (CORS) that a server of ours never answers with yes.
4. What changes something comes from this machine, unless the owner allows it to others.

Programs send no `Origin`, and none of this is in their way. ComfyUI Desktop shows a page of the server itself. A proxy
in front has to pass on the `Host` that the browser sent; the schemes may differ, since it is the proxy that speaks TLS.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from comfy_env_core.api.backend import HostFacts
from comfy_env_core.api.refusals import CROSS_ORIGIN, FOREIGN_HOST, NOT_JSON, NOT_LOCAL, Refused

#: `COMFY_ENV_ALLOW_REMOTE=1`: changes are not for the local user alone.
ALLOW_REMOTE = "COMFY_ENV_ALLOW_REMOTE"
#: `COMFY_ENV_ALLOWED_HOSTS=comfy.example.org,*.example.net`: names beside the machine's own that the server answers to.
ALLOWED_HOSTS = "COMFY_ENV_ALLOWED_HOSTS"

_YES = frozenset({"1", "true", "yes", "on"})
#: Proxies add these, or one that begins with `X-Forwarded-`. They connect from this machine; who asked them need not.
_OF_PROXIES = frozenset({"forwarded", "via", "x-real-ip"})
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\\?#\s]+)(:(?P<port>\d{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True)
class Policy:
    """- `listens_remotely`: whether ComfyUI's server can be reached from other machines.
    - `allows_remote`: whether those may change something.
    - `names`: host names that stand for this server beside IP addresses and localhost; lower case, `*.` for all below.
    """

    listens_remotely: bool = False
    allows_remote: bool = False
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, facts: HostFacts, environ: Mapping[str, str]) -> Policy:
        # Who copies it from the address bar may leave the port in.
        listed = (
            name.partition(":")[0].strip(" .").lower() for name in environ.get(ALLOWED_HOSTS, "").split(",")
        )
        return cls(
            facts.listens_remotely,
            environ.get(ALLOW_REMOTE, "").strip().lower() in _YES,
            frozenset({*_own_names(socket.gethostname()), *filter(None, listed)}),
        )

    @property
    def why_no_changes(self) -> str | None:
        """Why this server takes no changes from anybody, for people; None if the local user may make them."""
        if not self.listens_remotely or self.allows_remote:
            return None
        return "ComfyUI listens to other computers (--listen), and changes are for the local user alone."

    def admit(self, request: web.Request, changes: bool) -> None:
        """Returns if the request may be answered. Raises Refused. What it says gives nothing away: the page that is
        refused may be shown it."""
        host = self._host(request)
        _refuse_other_origins(request, host)
        if changes:
            _refuse_other_content(request)
            self._refuse_other_machines(request)

    def admit_page(self, request: web.Request) -> None:
        """The same for a page that shows nothing by itself: links from elsewhere may lead to it."""
        self._host(request)
        if not _is_navigation(request):
            self.admit(request, changes=False)

    def _host(self, request: web.Request) -> re.Match[str]:
        """The checked `Host`."""
        sent = request.headers.getall("Host", [])
        host = _HOST.fullmatch(sent[0]) if len(sent) == 1 else None
        if host is None:
            raise FOREIGN_HOST.because(
                f"The request has no Host header that can be understood: {', '.join(sent)!r}.",
                "Ask for the address that ComfyUI printed at its start.",
            )
        name = host["name"].lower().rstrip(".")
        if not (_is_address(name) or _is_loopback_name(name) or _is_listed(name, self.names)):
            raise FOREIGN_HOST.because(
                f"The request was sent to {name!r}, which is not known to be a name of this server.",
                f"Use its IP address. If it is this server's name, start ComfyUI with {ALLOWED_HOSTS}={name}",
            )
        return host

    def _refuse_other_machines(self, request: web.Request) -> None:
        if self.allows_remote:
            return
        message = self.why_no_changes
        if message is None and not _is_local(request):
            message = "The request comes from another computer, or through a proxy, and changes are for the local user."
        if message is not None:
            raise NOT_LOCAL.because(
                message, f"To allow them to everybody who can reach ComfyUI, start it with {ALLOW_REMOTE}=1."
            )


def _own_names(hostname: str) -> Iterable[str]:
    """How other machines of the network call this one; nothing is asked of the network, which takes seconds."""
    name = hostname.lower().strip(".")
    short = name.partition(".")[0]
    return (name, short, f"{short}.local") if name else ()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _is_loopback_name(name: str) -> bool:
    """No name server is asked about these (RFC 6761 §6.3)."""
    return name == "localhost" or name.endswith(".localhost")


def _is_listed(name: str, known: frozenset[str]) -> bool:
    parents = (name.split(".", count)[-1] for count in range(1, name.count(".") + 1))
    return name in known or any(f"*.{parent}" in known for parent in parents)


def _refuse_other_origins(request: web.Request, host: re.Match[str]) -> None:
    site = request.headers.getall("Sec-Fetch-Site", ["none"])
    if not {*site} <= {"none", "same-origin"}:
        raise _cross_origin()
    origins = request.headers.getall("Origin", [])
    if origins and not (len(origins) == 1 and _is_origin(origins[0], host)):
        raise _cross_origin()


def _cross_origin() -> Refused:
    return CROSS_ORIGIN.because(
        "The request comes from a page that is not ComfyUI's own.",
        "Use the panel in ComfyUI, or a program that is no page. A proxy has to pass on the Host that it was sent.",
    )


def _is_origin(origin: str, host: re.Match[str]) -> bool:
    """Whether a page of that origin was served by `host`. "null" is the origin of files and of frames in a sandbox."""
    try:
        parts = urlsplit(origin)
        default = _DEFAULT_PORTS[parts.scheme]
        port = parts.port or default
        name = _HOST.fullmatch(parts.netloc)
    except (ValueError, KeyError):
        return False
    if name is None or origin.lower() != f"{parts.scheme}://{parts.netloc}".lower():
        return False
    port_of_host = int(host["port"]) if host["port"] else default
    return name["name"].lower() == host["name"].lower() and port == port_of_host


def _is_navigation(request: web.Request) -> bool:
    """Whether a browser fills a window with the answer: it shows that to its user and to no other page."""
    headers = request.headers
    return (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")) == ("navigate", "document")


def _refuse_other_content(request: web.Request) -> None:
    sent = request.headers.getall("Content-Type", [])
    kind = sent[0].partition(";")[0].strip().lower() if len(sent) == 1 else ""
    if kind != "application/json":
        raise NOT_JSON.because(
            f"The content type of the body is {', '.join(sent) or 'missing'!r}, not 'application/json'.",
            "Send the header `Content-Type: application/json` and a JSON object, at least {}.",
        )


def _is_local(request: web.Request) -> bool:
    """Whether both ends of the connection are this machine, and no proxy says that it speaks for another."""
    sent = {name.lower() for name in request.headers}
    if sent & _OF_PROXIES or any(name.startswith("x-forwarded-") for name in sent):
        return False
    transport = request.transport
    ends = [transport.get_extra_info(end) for end in ("peername", "sockname")] if transport else [None]
    return all(_is_loopback_end(end) for end in ends)


def _is_loopback_end(end: object) -> bool:
    """`end`: (address, port, …) of TCP; a path, or nothing, of a Unix socket, which is always local."""
    if isinstance(end, (str, bytes)):
        return True
    if not isinstance(end, tuple):
        return False
    address = ipaddress.ip_address(str(end[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
