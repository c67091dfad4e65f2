"""Runs inside a new environment: imports what the file asked for, one distribution after the other.

Started by its path with a list of names as JSON in `argv[1]`; needs nothing but Python 3.9. Writes lines of "@" and
a JSON object: `{"python": "3.10.13"}` first, then for each name `{"trying": name, "module": module}` before an import
(so that a crash can be blamed) and afterwards `{"name", "outcome", "module", "error", "seconds"}`, where the outcome is
"imported", "failed", "no modules" or "not Python".
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.metadata
import json
import platform
import re
import sys
import time
import traceback
from typing import Any

#: Top-level directories that distributions install by mistake beside their own.
STRAYS = frozenset(
    (
        "test",
        "tests",
        "testing",
        "doc",
        "docs",
        "example",
        "examples",
        "benchmark",
        "benchmarks",
        "scripts",
        "tools",
    )
)


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def say(**record: Any) -> None:  # Any: JSON
    sys.stdout.write("@" + json.dumps(record) + "\n")
    sys.stdout.flush()


def installed() -> dict[str, importlib.metadata.Distribution]:
    """Normalised name → distribution, of everything in this environment."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"] if distribution.metadata else None
        if name:
            found.setdefault(normalised(name), distribution)
    return found


def top_levels(distribution: importlib.metadata.Distribution) -> list[str]:
    """The public modules that the distribution installs directly below site-packages, from its list of files."""
    found: dict[str, None] = {}
    for file in distribution.files or ():
        first = file.parts[0]
        is_module = len(file.parts) == 1 and re.search(r"\.(py|pyd|so)$", first)
        is_package = len(file.parts) > 1 and file.suffix in (".py", ".pyd", ".so")
        name = first.split(".")[0] if is_module else first
        if (
            (is_module or is_package)
            and name.isidentifier()
            and not name.startswith("_")
            and name not in STRAYS
        ):
            found[name] = None
    return list(found) or [
        name for name in (distribution.read_text("top_level.txt") or "").split() if name.isidentifier()
    ]


def candidates(name: str, distribution: importlib.metadata.Distribution) -> list[str]:
    """The module named like the distribution if there is one, else all public ones."""
    modules = top_levels(distribution)
    same = [module for module in modules if normalised(module) == normalised(name)]
    return same or modules


def try_import(name: str, modules: list[str]) -> tuple[str, str | None]:
    """(module, None) for the first that imports, else (first module, its traceback)."""
    failure: str | None = None
    for module in modules:
        say(trying=name, module=module)
        try:
            importlib.import_module(module)
        # A module may raise SystemExit, or worse; what counts is that it did not import.
        except BaseException:  # noqa: BLE001
            failure = failure or traceback.format_exc()
            continue
        return module, None
    return modules[0], failure


def probe(names: list[str]) -> None:
    distributions = installed()
    for name in names:
        distribution = distributions.get(normalised(name))
        if distribution is None:
            say(name=name, outcome="not Python")
            continue
        modules = candidates(name, distribution)
        if not modules:
            say(name=name, outcome="no modules")
            continue
        started = time.perf_counter()
        module, error = try_import(name, modules)
        outcome = "failed" if error else "imported"
        say(
            name=name,
            outcome=outcome,
            module=module,
            error=error,
            seconds=round(time.perf_counter() - started, 2),
        )


if __name__ == "__main__":
    faulthandler.enable()
    say(python=platform.python_version())
    probe(json.loads(sys.argv[1]))
