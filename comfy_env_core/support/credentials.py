"""Secrets that are known by their shape, or by the name in front of them."""

from __future__ import annotations

import re

from comfy_env_core.building.user_settings import redact
from comfy_env_core.support.spellings import BEFORE

SECRET = "<secret>"

_WORDS = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access|private|secret|encryption|license|ssh)(?:[-_. ]?key)"
    r"|credentials?|(?<![a-z])auth|cookie|session[-_]?id|signature|(?<![a-z])sig)"
)
#: Between a name and its value: "=", ": ", '": "', '\\": \\"', "%3D". Code that compares is none.
_JOIN = r"(?:\\{0,8}[\"'])?\s{0,4}(?:=>?|:|%(?:25){0,3}3[ad])(?!=)\s{0,4}"
#: Up to the quote that closes it, or to the end of the line; an escaped quote closes nothing.
_QUOTED = r"(?P<quote>\\{0,8}[\"'])(?:(?!(?<!\\)(?P=quote))[^\r\n])*"
_BARE = r"[^\s\"']+"
#: Words of code and of other people's hiding, which are no secrets.
_NO_VALUE = r"(?!(?:none|null|true|false|nil|\*+|<[\w-]+>)(?![^\s\"',;&)}\]]))"
_NAMED = re.compile(rf"(?i)(?P<name>{_WORDS}{_JOIN}){_NO_VALUE}(?:{_QUOTED}|{_BARE})")
_OPTION = re.compile(rf"(?i)(?P<name>--[\w-]{{0,40}}?{_WORDS}\s{{1,4}}){_NO_VALUE}(?:{_QUOTED}|{_BARE})")
#: Headers, whose values are several words.
_HEADER = re.compile(rf"(?i)(?P<name>(?:authorization|cookie){_JOIN})(?:{_QUOTED}|[^\r\n\"']+)")
_BEARER = re.compile(r"(?i)(?P<name>\bbearer(?:\s|%(?:25){0,3}20|\+){1,4})[\w.~+/=%-]{6,}")

#: Of services that mark their keys: Hugging Face, GitHub, GitLab, OpenAI and the like, AWS, Slack, Google, PyPI, npm,
#: Replicate, ComfyUI's own, JSON web tokens.
_MARKED = (
    r"hf_[a-z0-9]{8,}",
    r"gh[pousr]_[a-z0-9]{16,}",
    r"github_pat_\w{16,}",
    r"gl(?:pat|dt|rt)-[\w-]{12,}",
    r"sk-(?=[\w-]*\d)[\w-]{16,}",
    r"A(?:KI|SI)A[0-9A-Z]{12,}",
    r"xox[a-z]-[\w-]{10,}",
    r"AIza[\w-]{20,}",
    r"pypi-[\w-]{16,}",
    r"npm_[a-z0-9]{16,}",
    r"r8_[a-z0-9]{16,}",
    r"comfyui-[0-9a-f]{16,}",
    r"eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?",
)
_KNOWN_SHAPES = re.compile(rf"(?i){BEFORE}(?:{'|'.join(_MARKED)})")
#: The beginning may have been cut off with the head of a log.
_KEY_BLOCK = re.compile(
    r"(?:-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)?[A-Za-z0-9+/=\s\\]{16,}?-----END [A-Z ]{0,40}PRIVATE KEY-----"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]*"
)
_SECRET_NAME = re.compile(rf"(?i)(?:{_WORDS}|_key)$")


def hide_blocks(text: str) -> str:
    """Private keys, which are of several lines."""
    return _KEY_BLOCK.sub(SECRET, text) if "PRIVATE KEY" in text else text


def hide(line: str) -> str:
    """Passwords of URLs, values with names that say what they are, and keys of known services."""
    line = redact(line)
    line = _KNOWN_SHAPES.sub(SECRET, line)
    line = _HEADER.sub(_hide_value, line)
    line = _BEARER.sub(_hide_value, line)
    line = _OPTION.sub(_hide_value, line)
    return _NAMED.sub(_hide_value, line)


def is_secret_name(name: str) -> bool:
    """Whether a value of that name is for nobody else: of "HF_TOKEN", not of "TOKENIZERS_PARALLELISM"."""
    return _SECRET_NAME.search(name) is not None


def _hide_value(match: re.Match[str]) -> str:
    """The quote that opens the value stays, since the one that closes it does."""
    return match["name"] + (match.groupdict().get("quote") or "") + SECRET
