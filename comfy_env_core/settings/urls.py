"""Which addresses a setting may hold: those of a place that is asked in another's stead, without any secret in them.

No regular expressions: compiling one takes longer than all the rest of reading the settings at a start of ComfyUI.
"""

from __future__ import annotations

import string

LONGEST_URL = 2000
_LETTERS = frozenset(string.ascii_letters + string.digits)
_IN_HOST = _LETTERS | frozenset("._-")
_IN_IPV6 = frozenset(string.hexdigits + ":.")
#: What RFC 3986 allows in a URL at all, without the "?" and "#" of addresses that nothing can be appended to.
_IN_URL = _LETTERS | frozenset("-._~:/@!$&'()*+,;=%[]")


def url_problem(value: object) -> str | None:
    """What is wrong with the address, in words that complete "pypi_index "; None when it is right."""
    if not isinstance(value, str):
        return f"is {value!r}, not an address"
    scheme, separator, rest = value.partition("://")
    authority = rest.partition("/")[0]
    if not separator or scheme.lower() not in ("http", "https"):
        return "is no address that begins with http:// or https://"
    if "@" in authority:
        return (
            "holds a user name or a password, which do not belong into a file that others read: give them to uv or pip "
            "in their own settings, or put them into ~/.netrc"
        )
    if "?" in value or "#" in value:
        return 'holds "?" or "#": it has to be an address that more can be appended to'
    if len(value) > LONGEST_URL:
        return f"is longer than {LONGEST_URL} characters"
    if not _IN_URL.issuperset(value):
        return "holds characters that no address has; others are written as %20"
    if not _names_server(authority):
        return f"names no server: {authority!r}"
    return None


def _names_server(authority: str) -> bool:
    host, separator, port = authority.rpartition(":")
    if not separator or authority.endswith("]"):
        host, port = authority, "80"
    if not (port.isdecimal() and 0 < int(port) < 65536):
        return False
    if host.startswith("[") and host.endswith("]"):
        return len(host) > 2 and _IN_IPV6.issuperset(host[1:-1])
    return bool(host) and host[0] in _LETTERS and _IN_HOST.issuperset(host)
