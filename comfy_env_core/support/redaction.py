"""Takes out of a text what tells who somebody is and what is nobody else's business, and leaves the rest readable.

The same thing gets the same placeholder everywhere: "<home>", "<email-1>". What is hidden is decided by shape and by
names that are known; where a line may be read in two ways, the safer one is taken.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from comfy_env_core.support.credentials import SECRET, hide, hide_blocks, is_secret_name
from comfy_env_core.support.identity import Identity
from comfy_env_core.support.spellings import AFTER, BEFORE, anywhere, directory, variants, word

_AT = r"(?:@|%(?:25){0,3}40|\\{1,8}u0040|\\{1,8}x40)"
_EMAIL = re.compile(
    rf"(?i)[a-z0-9](?:[a-z0-9._+-]|%(?:25){{0,3}}2b){{0,63}}{_AT}(?:[a-z0-9-]{{1,63}}\.){{1,8}}[a-z]{{2,24}}{AFTER}"
)
#: Addresses of repositories look like e-mail addresses.
_SHARED_ADDRESSES = ("git@", "git%40")
#: Directories of people, wherever they are: of a colleague, or of whoever built a package.
_HOME_OF_ANYBODY = re.compile(
    r"(?i)(?P<lead>(?:[\\/]|%(?:25){0,3}(?:2f|5c)){1,16}(?:home|users|documents and settings)"
    r"(?:[\\/]|%(?:25){0,3}(?:2f|5c)){1,16})"
    r"(?P<name>(?:(?!%(?:25){0,3}(?:2f|5c))[^\\/\s\"'<>|:*?,;()\[\]{}]){1,64}(?:[ ][^\\/\s\"'<>|:*?]{1,32}(?=[\\/]))?)"
)
_NOBODY = frozenset(
    {"conda", "runner", "runneradmin", "public", "default", "shared", "all users", "linuxbrew"}
)
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?![\w:])")
_MAC = re.compile(r"(?i)(?<![\w:-])[0-9a-f]{2}(?:(?P<by>[:-])[0-9a-f]{2})(?:(?P=by)[0-9a-f]{2}){4}(?![\w:-])")
#: Versions of four numbers, such as CUDA's, look like addresses.
_VERSION_BEFORE = re.compile(
    r"(?i)(?:[=<>~!]=|\bv(?:ersion)?\s?|\bversion[\"']?\s?[:=]\s?[\"']?|(?:nvidia|cu\d\d|cud\w*)[\w-]*\s+[\"']?|@)$"
)
_VERSION_AROUND = re.compile(r"(?i)[\w.][-_]$")
_VERSION_AFTER = re.compile(r"(?i)^(?:-|_|\.(?:dist-info|data|whl|tar|conda|zip|post|dev)|rc\d|[abc]\d|\+\w)")
#: What hides names from a search: colours, and the zeros of UTF-16 that was read as something else.
_UNSEEN = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00\u200b-\u200d\u2060\ufeff\u00ad]")
#: Letters that are written as something else.
_ESCAPE = re.compile(r"(?i)%[0-9a-f]{2}|\\[ux][0-9a-f]|\\[0-7]{3}")
_LINES = re.compile(r"[^\r\n]+")


class Redactor:
    """One for everything that is handed on together: it remembers which placeholder stands for what."""

    def __init__(self, identity: Identity) -> None:
        self._secrets = _Names(
            [(anywhere(secret), SECRET, secret) for secret in _longest_first(identity.secrets)]
        )
        places = sorted(identity.places, key=lambda place: -len(place[0]))
        self._names = _Names(
            [
                *(
                    (directory(path), shown, re.split(r"[\\/]+", path.rstrip("\\/"))[-1])
                    for path, shown in places
                ),
                *((word(name), "<user>", name) for name in identity.users),
                *((_short_name(name), "<user>", _short(name)) for name in identity.users),
                *((word(name), "<host>", name) for name in identity.hosts),
            ]
        )
        self._numbers: dict[tuple[str, str], int] = {}

    def text(self, text: str) -> str:
        """`text` as it may be handed on. Lines stay lines; colours go."""
        text = hide_blocks(_UNSEEN.sub("", text))
        return _LINES.sub(lambda line: self._line(line[0]), text)

    def value(self, value: Any) -> Any:  # Any: JSON
        """The same for everything in a JSON value; what its own name calls a secret goes whole."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(str(key)): SECRET if _hides(str(key), one) else self.value(one)
                for key, one in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(one) for one in value]
        return value

    def name(self, name: str) -> str:
        """A file name, without characters that Windows refuses."""
        return re.sub(r"[<>:\"|?*\\\x00-\x1f]", "_", self.text(name))

    def _line(self, line: str) -> str:
        line = hide(self._secrets.replace(line))
        if "@" in line or "40" in line:  # in whatever spelling
            line = _EMAIL.sub(self._email, line)
        line = self._names.replace(line)
        line = _HOME_OF_ANYBODY.sub(self._somebody, line)
        line = _MAC.sub(lambda match: self._numbered("mac", match[0]), line)
        line = _IPV4.sub(self._ipv4, line)
        return _IPV6.sub(self._ipv6, line)

    def _email(self, match: re.Match[str]) -> str:
        return (
            match[0] if match[0].lower().startswith(_SHARED_ADDRESSES) else self._numbered("email", match[0])
        )

    def _somebody(self, match: re.Match[str]) -> str:
        if match["name"].lower() in _NOBODY or match["name"].startswith("<"):
            return match[0]
        return match["lead"] + self._numbered("somebody", match["name"])

    def _ipv4(self, match: re.Match[str]) -> str:
        before, after = (
            match.string[max(0, match.start() - 40) : match.start()],
            match.string[match.end() :][:12],
        )
        is_version = _VERSION_BEFORE.search(before) or (
            _VERSION_AROUND.search(before) and _VERSION_AFTER.search(after)
        )
        return match[0] if is_version else self._address(match[0])

    def _ipv6(self, match: re.Match[str]) -> str:
        return self._address(match[0])

    def _address(self, text: str) -> str:
        """Loopback and what is no address of anybody stay."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return text
        is_nobodys = address.is_loopback or address.is_unspecified
        if is_nobodys or (address.version == 6 and address.is_reserved):  # "a::b" of a program's code
            return text
        return self._numbered("ip", text)

    def _numbered(self, kind: str, text: str) -> str:
        key = (kind, text.lower())
        if key not in self._numbers:
            self._numbers[key] = 1 + sum(1 for known, _ in self._numbers if known == kind)
        return f"<{kind}-{self._numbers[key]}>"


class _Names:
    """Several expressions at once; where two begin at the same place, the earlier one wins."""

    def __init__(self, entries: Iterable[tuple[str, str, str]]) -> None:
        """(expression, what is shown, a text that each match holds unless it is escaped)"""
        expressions = [(expression, shown, needed) for expression, shown, needed in entries]
        self._shown = [shown for _, shown, _ in expressions]
        self._needed = {
            _longest_part(variant.casefold()) for _, _, needed in expressions for variant in variants(needed)
        }
        pattern = "|".join(f"({expression})" for expression, _, _ in expressions)
        self._pattern = re.compile(pattern, re.IGNORECASE) if expressions else None

    def replace(self, text: str) -> str:
        if self._pattern is None or not self._may_match(text):
            return text
        return self._pattern.sub(self._placeholder, text)

    def _may_match(self, text: str) -> bool:
        """Nearly every line of a log holds none of them, and looking for plain text is a hundred times as fast."""
        if _ESCAPE.search(text) is not None:
            return True
        folded = text.casefold()
        return any(needed in folded for needed in self._needed)

    def _placeholder(self, match: re.Match[str]) -> str:
        assert match.lastindex is not None, "each alternative is a group"
        return self._shown[match.lastindex - 1]


def _longest_part(text: str) -> str:
    """What lies between them may be written in many ways; letters are escaped or they are not."""
    return max(re.split(r"[\W_]+", text), key=len) or text


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=lambda text: -len(text))


def _short_name(name: str) -> str:
    """As Windows has it for old programs: "JOHNSM~1" for "John Smith"."""
    return f"{BEFORE}{re.escape(_short(name))}~[0-9]{AFTER}" if _short(name) else "(?!)"


def _short(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())[:6]


def _hides(key: str, value: object) -> bool:
    return isinstance(value, str) and bool(value) and is_secret_name(key)
