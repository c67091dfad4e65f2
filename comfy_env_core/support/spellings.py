"""Regular expressions for a name or a path in whatever spelling it may have in a log.

A path in a log was written by some program: with slashes or backslashes, doubled in JSON and once more in JSON inside
of JSON, percent-encoded in a file URL, with "\\u00fc" for "ü", or with the "Ã¼" of a program that took UTF-8 for
Latin-1. Windows and macOS do not care for capitals, so nobody does here. All expressions are for `re.IGNORECASE`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

#: As often as it was escaped. Bounded, since a log may hold thousands in a row.
_BACKSLASH = r"\\{1,8}"
_PERCENT = r"%(?:25){0,4}"
_ONE_SEPARATOR = rf"(?:[\\/]|{_PERCENT}(?:2f|5c)|{_BACKSLASH}(?:u00|x)(?:2f|5c))"
_SEPARATOR = _ONE_SEPARATOR + "{1,16}"
#: In front of what begins a word: no letter or digit, except as the end of an escape or of an encoded character.
BEFORE = (
    r"(?:(?<![^\W_])|(?<=%[0-9a-f]{2})|(?<=%25[0-9a-f]{2})|(?<=%2525[0-9a-f]{2})"
    r"|(?<=\\[nrtfvb])|(?<=\\u[0-9a-f]{4})|(?<=\\x[0-9a-f]{2}))"
)
AFTER = r"(?![^\W_])"
#: Another directory may begin with the same name.
_END_OF_PATH = r"(?![^\W_]|[-_.~+@]{1,8}[^\W_])"


def word(text: str) -> str:
    """`text` where it is a word of its own, in every spelling."""
    return f"{BEFORE}{_spelled(text)}{AFTER}"


def anywhere(text: str) -> str:
    """`text` in every spelling, also inside of words."""
    return _spelled(text)


def directory(text: str) -> str:
    """A directory's path, in every spelling, whatever separates its parts."""
    parts = [part for part in re.split(r"[\\/]+", text) if part]
    start = _ONE_SEPARATOR if text[:1] in ("/", "\\") else BEFORE
    return start + _SEPARATOR.join(map(_spelled, parts)) + _END_OF_PATH


def variants(text: str) -> Iterable[str]:
    """As it is, composed and decomposed as file systems store it, and misread by programs."""
    forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]
    misread = []
    for form in forms:
        for encoding in ("cp1252", "latin-1"):
            try:
                misread.append(form.encode("utf-8", "surrogateescape").decode(encoding))
            except UnicodeDecodeError:
                continue
    return dict.fromkeys([*forms, *misread])


def _spelled(text: str) -> str:
    return "(?:" + "|".join("".join(map(_character, variant)) for variant in variants(text)) + ")"


def _character(character: str) -> str:
    """Itself, or as JSON, Python, C, or a URL has it."""
    if character.isspace():
        return rf"(?:\\{{0,8}}\s|{_PERCENT}20|\+|{_BACKSLASH}(?:u00|x)20)"
    spellings = [re.escape(character)]
    if not character.isalnum():
        spellings.append(_BACKSLASH + re.escape(character))
    for case in dict.fromkeys((character, character.lower(), character.upper())):
        if len(case) > 1:
            # "ß" in capitals is "SS". Others are found anyway: said twice, a name that does not end as it begins would
            # be tried twice as often with each of its letters.
            spellings.append(re.escape(case))
        utf8 = case.encode("utf-8", "surrogateescape" if "\udc80" <= case <= "\udcff" else "surrogatepass")
        utf16 = case.encode("utf-16-be", "surrogatepass")
        spellings.append("".join(f"{_PERCENT}{byte:02x}" for byte in utf8))
        spellings.append("".join(f"{_BACKSLASH}x{byte:02x}" for byte in utf8))
        spellings.append("".join(f"{_BACKSLASH}{byte:03o}" for byte in utf8))
        spellings.append(
            "".join(f"{_BACKSLASH}u{utf16[at : at + 2].hex()}" for at in range(0, len(utf16), 2))
        )
        for one in case:
            if len(case) == 1 and ord(one) < 0x100:
                spellings.append(f"{_BACKSLASH}x{ord(one):02x}")
            if len(case) == 1 and ord(one) > 0xFFFF:
                spellings.append(f"{_BACKSLASH}U{ord(one):08x}")
    return "(?:" + "|".join(dict.fromkeys(spellings)) + ")"
