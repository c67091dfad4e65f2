"""The id of an environment: the same file on the same facts is the same one, for every pack and every ComfyUI."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

#: The version of the recipe that turns a file and facts into a prefix. It grows when a release changes what a build
#: *produces* (another msgpack range, another choice of index), never with an ordinary release: environments are 1-10 GB
#: and a new recipe rebuilds them all. Our own version number is no part of an id.
RECIPE = "1"


def environment_id(source: bytes, facts: Sequence[str]) -> str:
    """8 hex digits: the start of SHA256 over the bytes of the file, the recipe, and the facts.

    `facts` are "name=value" lines in any order; one that is not raises ValueError, since two facts could then be
    spelled like one.
    """
    for fact in facts:
        if "=" not in fact or "\n" in fact:
            raise ValueError(f"A fact is one line 'name=value', got {fact!r}.")
    lines = sorted({*facts, f"recipe={RECIPE}"})
    # The length stands first so that no file can be mistaken for another file followed by facts.
    text = f"{len(source)}\n".encode() + source + "\n".join(lines).encode()
    return hashlib.sha256(text).hexdigest()[:8]
