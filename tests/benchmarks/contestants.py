"""Who is measured: ourselves, two peers, and the machine; each a program in a virtual environment of its own.

The environments are made once, below build/bench, by pip with the user's settings (index, mirror, find-links); deleting
them is safe. The peers' programs are not part of this repository: they are looked for in ``../shared/bench``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfy_env_core.processes import clean_environment

REPOSITORY = Path(__file__).resolve().parents[2]
PEER_SCRIPTS = REPOSITORY.parent / "shared" / "bench"
ENVIRONMENTS = REPOSITORY / "build" / "bench"
STAMP = ".complete"

TORCH = ("torch==2.13.0", "numpy")
"""One torch for all: another one would measure torch. This version has wheels for the CPU alone."""

OUR_PACKAGES = (*TORCH, "msgpack")
RUN_TIMEOUT_S = 300.0
SHARED_MEMORY = Path("/dev/shm")  # where the peers' own scripts keep their files


class ContestantFailed(RuntimeError):
    """It could not be installed or measured; the message says which command failed and what it said last."""


@dataclass(frozen=True)
class Contestant:
    """`name` is its key in build/bench.json; `command` what its Python is given before the options."""

    name: str
    title: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    is_peer: bool = False

    def missing(self) -> str | None:
        """Why it cannot be measured here, None if it can."""
        if self.is_peer and not Path(self.command[0]).is_file():
            return f"its script {self.command[0]} is not there"
        return None


def peer(name: str, package: str, script: str, *further: str) -> Contestant:
    return Contestant(name, package, (package, *further, *TORCH), (str(PEER_SCRIPTS / script),), is_peer=True)


OURS = Contestant("ours", "ours", OUR_PACKAGES, ("-m", "benchmarks.ours"))
FLOOR = Contestant("floor", "machine", OUR_PACKAGES, ("-m", "benchmarks.floor"))
PEERS = (
    peer("comfy_env", "comfy-env", "peer_comfy_env.py"),
    peer("pyisolate", "pyisolate", "peer_pyisolate.py", "uv"),
)
CONTESTANTS = (OURS, *PEERS, FLOOR)


def prepare(contestant: Contestant) -> Path:
    """Its interpreter, after installing what is not there yet."""
    key = hashlib.sha256("\0".join((sys.version, *contestant.requirements)).encode()).hexdigest()[:8]
    directory = ENVIRONMENTS / f"{'peer-' + contestant.name if contestant.is_peer else 'own'}-{key}"
    scripts, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    python = directory / scripts / f"python{suffix}"
    if not (directory / STAMP).is_file():
        print(f"installing {', '.join(contestant.requirements)} into {directory}", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        run([sys.executable, "-m", "virtualenv", "--quiet", str(directory)], without_python())
        run([str(python), "-m", "pip", "install", "--quiet", *contestant.requirements], without_python())
        (directory / STAMP).touch()
    return python


def measure(contestant: Contestant, arguments: Sequence[str]) -> Any:
    """What one run of it printed: its last line of JSON. Any: each program has a payload of its own."""
    python = prepare(contestant)
    places = {} if contestant.is_peer else {"PYTHONPATH": os.pathsep.join(map(str, import_places()))}
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent, ignore_cleanup_errors=True) as temporary:
        path = os.pathsep.join((str(python.parent), os.environ.get("PATH", "")))
        environment = clean_environment(os.environ, {**places, "PATH": path, "TMPDIR": temporary})
        printed = run([str(python), *contestant.command, *arguments], environment)
    found = [line for line in printed.splitlines() if line.startswith(("{", "["))]
    if not found:
        raise ContestantFailed(f"{contestant.title} printed no figures but:\n{printed[-2000:]}")
    return json.loads(found[-1])


def measure_program(module: str, arguments: Sequence[str]) -> Any:
    """What another program of this package printed, run in the environment of ours."""
    return measure(Contestant(module, module, OUR_PACKAGES, ("-m", f"benchmarks.{module}")), arguments)


def versions(contestant: Contestant) -> dict[str, str]:
    """The versions of what was asked for, by the name of the package."""
    names = [requirement.partition("==")[0] for requirement in contestant.requirements]
    code = "import json, sys; from importlib.metadata import version; "
    code += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    printed = run([str(prepare(contestant)), "-c", code, *names], without_python())
    found: dict[str, str] = json.loads(printed.splitlines()[-1])
    return found


def without_python() -> dict[str, str]:
    """Our environment with the user's settings of pip, which an installation needs, and none of Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def import_places() -> list[Path]:
    """Where our own programs find this package, the fake packs of the tests, and comfy_env_core."""
    return [REPOSITORY / "tests", REPOSITORY]


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What it printed on stdout; all its processes are gone afterwards. Raises ContestantFailed."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            printed, _ = process.communicate(timeout=RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise ContestantFailed(f"{' '.join(command)!r} did not end in {RUN_TIMEOUT_S:g} s") from error
        finally:
            end_group(process)
        if process.returncode:
            errors.seek(0)
            said = (printed.encode() + errors.read())[-2000:].decode(errors="replace")
            raise ContestantFailed(f"{' '.join(command)!r} ended with code {process.returncode}:\n{said}")
    return printed


def end_group(process: subprocess.Popen[str]) -> None:
    """Kill what is left of a program: peers leave workers behind when they fail, which would slow the next one."""
    if os.name == "nt":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
