"""CPython interpreters on this machine, found by looking where tools put them and verified by running each.

Names and directory names are hints only: pyenv's shims pretend to be every version, a Rosetta Python runs on the wrong
processor, a half-removed installation is still on PATH. Found interpreters are remembered; looking again is cheap.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import logging
import platform
import re
import subprocess
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from comfy_env_core.building.engines.interpreter_places import Candidate, candidates
from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.processes import ask

logger = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
#: Runs on any Python 3, so that an old one is refused for its version and not for a SyntaxError.
_QUESTION = """
import json, platform, struct, sys, sysconfig
try:
    import ssl, zlib, ctypes
    lacks = ""
except ImportError as error:
    lacks = str(error)
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3], "implementation": platform.python_implementation(),
    "machine": platform.machine(), "bits": struct.calcsize("P") * 8, "prefix": sys.prefix,
    "base_prefix": getattr(sys, "base_prefix", sys.prefix), "release": sys.version_info[3], "lacks": lacks,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED"))}))
"""


@dataclasses.dataclass(frozen=True)
class Interpreter:
    """A CPython that ran and said so. `where` names the tool or directory it belongs to, for people."""

    path: Path
    version: str
    where: str


@dataclasses.dataclass(frozen=True)
class Refused:
    """A candidate that will not do, and why."""

    candidate: Candidate
    reason: str


class Interpreters:
    """The interpreters of this machine; each is run once for the life of the object. Thread-safe."""

    def __init__(self, settings: UserSettings, managed_dir: Path) -> None:
        self._settings = settings
        self._managed_dir = managed_dir
        self._lock = threading.Lock()
        self._known: dict[Path, Interpreter | Refused] = {}

    def find(self, wanted: PythonWanted) -> tuple[Interpreter | None, tuple[str, ...]]:
        """The best interpreter for `wanted`, and what was looked at (lines for the message if there is none).

        Order: the user's explicit choice, ComfyUI's own, then by place; within a place the newest release.
        """
        places = candidates(self._settings, self._managed_dir)
        likely = [candidate for candidate in places if _may_be(candidate, wanted)]
        # Running all of them takes 1.5 s on a machine with ten; their names nearly always tell the one.
        looked_at: list[Interpreter | Refused] = []
        for group in (likely, places):
            looked_at = self._verified(group)
            for found in looked_at:
                if isinstance(found, Interpreter) and wanted.accepts(found.version):
                    return found, tuple(map(_line, looked_at))
        return None, tuple(map(_line, looked_at))

    def _verified(self, places: Iterable[Candidate]) -> list[Interpreter | Refused]:
        """Each candidate once, however many links lead to it, in the given order."""
        distinct: dict[Path, Candidate] = {}
        for candidate in places:
            distinct.setdefault(_identity(candidate), candidate)
        with self._lock:
            unknown = {identity: c for identity, c in distinct.items() if identity not in self._known}
            with concurrent.futures.ThreadPoolExecutor(4, "comfy-env-interpreters") as executor:
                answers = executor.map(verify, unknown.values())
                self._known.update(zip(unknown, answers, strict=True))
            return [self._known[identity] for identity in distinct]


def verify(candidate: Candidate) -> Interpreter | Refused:
    """Runs the candidate and checks version, processor and completeness."""
    try:
        argv = [str(candidate.path), "-I", "-c", _QUESTION]
        completed = ask(argv, timeout_s=_TIMEOUT_S, env=candidate.environment)
    except subprocess.TimeoutExpired:
        return Refused(candidate, f"gave no answer within {_TIMEOUT_S:g} s")
    except OSError as error:
        return Refused(candidate, f"does not run ({error.strerror or error})")
    if completed.returncode != 0:
        return Refused(candidate, f"does not run (exit code {completed.returncode})")
    try:
        answer = json.loads(completed.stdout)
    except ValueError:
        return Refused(candidate, "does not answer as a Python does")
    reason = _objection(answer, candidate)
    return (
        Refused(candidate, reason)
        if reason
        else Interpreter(candidate.path, answer["version"], candidate.where)
    )


def _objection(answer: Mapping[str, object], candidate: Candidate) -> str | None:
    """Why a Python that gave this answer cannot carry an environment, None if it can."""
    version = f"Python {answer['version']}"
    if answer["implementation"] != "CPython":
        return f"is {answer['implementation']}"
    if answer["free_threaded"]:
        return f"{version} is free-threaded: few packages have wheels for it"
    if answer["release"] != "final":
        return f"{version} is a pre-release"
    if answer["bits"] != 64 or _processor(str(answer["machine"])) != _processor(platform.machine()):
        return f"{version} is for {answer['machine']} with {answer['bits']} bits"
    if answer["lacks"]:
        return f"{version} is incomplete ({answer['lacks']})"
    if answer["prefix"] != answer["base_prefix"] and not candidate.explicit:
        return f"{version} is a virtual environment, which may be deleted any time"
    return None


def _may_be(candidate: Candidate, wanted: PythonWanted) -> bool:
    """Whether the names on the way to the candidate leave it open that it is a wanted version."""
    names = [candidate.path.name, candidate.path.parent.parent.name]
    hints = [
        match[1]
        for name in names
        if (match := re.search(r"(?:python|cpython-|^v?)(\d\.\d+(?:\.\d+)*)", name))
    ]
    return not hints or any(wanted.accepts(hint) for hint in hints)


def _processor(machine: str) -> str:
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())


def _identity(candidate: Candidate) -> Path:
    """The file itself; a virtual environment's link to its base is another interpreter than the base."""
    if (candidate.path.parent.parent / "pyvenv.cfg").is_file():
        return candidate.path
    try:
        return candidate.path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself, before Python 3.13
        return candidate.path


def _line(found: Interpreter | Refused) -> str:
    if isinstance(found, Interpreter):
        return f"{found.where}: {found.path} is Python {found.version}"
    return f"{found.candidate.where}: {found.candidate.path} {found.reason}"
