"""A user's machine in a directory: a home, a store, custom_nodes with one pack in it, and what is started there."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psutil
from patience import PATIENCE_S, eventually

from comfy_env_core.environments.store import Environment, Store, Workspace

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = REPOSITORY / "tests"
PACK_NAME = "painter"
#: What the pack asks for: a Python and a module that only the channel has, and compiled wheels.
CONFIG = """python = "{minor}"

[dependencies]
tinylib = "*"
tinydata = "*"

[pypi-dependencies]
numpy = "*"
pillow = "*"
"""
NODES = """
import numpy
import PIL.Image
import tinylib


class Paint:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "paint"

    def paint(self):
        return (numpy.zeros((1, 8, 8, 3), numpy.float32),)


NODE_CLASS_MAPPINGS = {"Paint": Paint}
"""
IMPORTS = "import msgpack, numpy, PIL._imaging, PIL.Image, ssl, tinylib; numpy.ones(3).sum()"
LONGEST_S = 240.0


@dataclasses.dataclass(frozen=True)
class Pack:
    """Its `comfy-env.toml` (`{minor}` for the channel's Python), its `__init__.py`, a program that uses what it asks
    for."""

    config: str = CONFIG
    nodes: str = NODES
    imports: str = IMPORTS


@dataclasses.dataclass(frozen=True)
class Machine:
    """`environ` is the whole environment of what is started here."""

    directory: Path
    environ: Mapping[str, str]
    pack: Pack

    @property
    def store(self) -> Store:
        return Store(Path(self.environ["COMFY_ENV_ROOT"]))

    @property
    def custom_nodes(self) -> Path:
        return self.directory / "custom_nodes"

    def installing(self) -> Running:
        """A normal start, as from ComfyUI-Manager: builds what is missing and imports the nodes."""
        return Running.of([REPOSITORY / "install.py", self.custom_nodes], self.environ)

    def rebuilding(self) -> Running:
        """Builds the pack's environment beside the one that serves."""
        return Running.of(["-m", "chaos.rebuild_program", self.custom_nodes], self.environ)

    def start(self) -> str:
        """A normal start to its end, which must be a good one. Returns its output."""
        running = self.installing()
        code = running.wait()
        assert code == 0, f"A normal start ended with {code}:\n{running.text}"
        return running.text

    def environment(self) -> Environment:
        (environment,) = self.store.environments()
        return environment

    def serving(self) -> Workspace:
        """The generation that workers start in; every file is as it was packed, and everything imports."""
        workspace = self.environment().current()
        assert workspace is not None, "No environment serves"
        problems = list(damaged_files(workspace.prefix))
        assert not problems, problems[:10]
        command = [workspace.python, "-I", "-c", self.pack.imports]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath})
        assert ended.returncode == 0, ended.stderr
        return workspace

    def forget_downloads(self) -> None:
        """Empties the caches; what was linked from there stays."""
        shutil.rmtree(self.store.cache_dir, ignore_errors=True)

    def left_running(self) -> list[str]:
        """The command lines of all processes that work in the store."""
        return [" ".join(process.cmdline()) for process in self._processes()]

    def assert_quiet(self) -> None:
        """Nothing works in the store any more."""
        assert eventually(lambda: not self.left_running()), self.left_running()

    def assert_tidy(self) -> None:
        """Nothing is left of what did not end well: no third generation, no trash, no half of a download."""
        environment = self.environment()
        known = {environment.current(), environment.previous()}
        strays = [str(one.directory) for one in environment.generations() if one not in known]
        patterns = ("*.trash", ".*.trash", "_env_*/.*.trash", "*.part", "engines/.embedded-*")
        strays += [str(path) for pattern in patterns for path in self.store.root.glob(pattern)]
        assert not strays, strays

    def _processes(self) -> Iterator[psutil.Process]:
        root = str(self.store.root)
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and any(
                    root in part for part in process.cmdline()
                ):
                    yield process
            except psutil.NoSuchProcess:
                continue


class Running:
    """A started program. `lines`: what it said so far, with the second since its start at which it said it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[tuple[float, str]] = []
        self._began = time.monotonic()
        self._said = threading.Condition()
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def of(cls, arguments: Iterable[str | Path], environ: Mapping[str, str]) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-u", *map(str, arguments)],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return cls(process)

    @property
    def text(self) -> str:
        return "".join(line for _, line in self.lines)

    def marks(self) -> list[tuple[float, str]]:
        """The steps it told of: numbers left out, so that two runs are told alike, and repetitions too."""
        found: list[tuple[float, str]] = []
        for at_s, line in list(self.lines):
            mark = re.sub(r"[\d.,]+", "#", line.strip())
            if not found or found[-1][1] != mark:
                found.append((at_s, mark))
        return found

    def await_mark(self, number: int) -> bool:
        """Waits for the mark of that number; False when it ended before."""
        with self._said:
            self._said.wait_for(lambda: self._has_ended or len(self.marks()) > number, LONGEST_S)
            return len(self.marks()) > number

    def wait(self) -> int:
        """Its exit code, all of its output read."""
        code = self.process.wait(LONGEST_S)
        self._reader.join(PATIENCE_S)
        return code

    def descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def is_running(self) -> bool:
        return self.process.poll() is None

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._said:
                    self.lines.append((time.monotonic() - self._began, line))
                    self._said.notify_all()
        with self._said:
            self._has_ended = True
            self._said.notify_all()


def damaged_files(prefix: Path) -> Iterator[str]:
    """What the records of the installed distributions say and the disk does not."""
    for record in prefix.glob("lib/python3*/site-packages/*.dist-info/RECORD"):
        site = record.parents[1]
        for name, digest, _ in csv.reader(record.read_text(encoding="utf-8").splitlines()):
            path = site / name
            if not path.is_file():
                yield f"{record.parent.name}: {name} is missing"
            elif digest.startswith("sha256="):
                found = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=")
                if found.decode() != digest.removeprefix("sha256="):
                    yield f"{record.parent.name}: {name} is damaged"


def make_machine(
    directory: Path,
    *,
    store: Path,
    minor: str,
    channel_url: str,
    index_url: str,
    environ: Mapping[str, str],
    pack: Pack = Pack(),
) -> Machine:
    """A machine whose conda channel and package index are on loopback. `environ` is added to the little it has."""
    home, folder = directory / "home", directory / "custom_nodes" / PACK_NAME
    (home / ".pixi").mkdir(parents=True)
    mirrors = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{channel_url}/conda-forge"]\n'
    (home / ".pixi" / "config.toml").write_text(mirrors, encoding="utf-8")
    folder.mkdir(parents=True)
    (folder / "comfy-env.toml").write_text(pack.config.format(minor=minor), encoding="utf-8")
    (folder / "__init__.py").write_text(pack.nodes, encoding="utf-8")
    store.mkdir(parents=True, exist_ok=True)
    own = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "COMFY_ENV_ROOT": str(store),
        "COMFY_ENV_ENGINE": "embedded",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{index_url}/simple",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(REPOSITORY)]),
    }
    return Machine(directory, {**own, **environ}, pack)
