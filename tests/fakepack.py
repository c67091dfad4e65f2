"""Packs written for one test, and workers that run them: shared by the tests of workers and of supervision."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comfy_env_core.supervision import Service, WorkerSpec

NODE = """
class Node:
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

"""


class RecordingServices:
    """Host services that remember what they were asked. `answers`: folder_paths; `more`: further services."""

    def __init__(self) -> None:
        self.progressed: list[tuple[Any, ...]] = []
        self.sent: list[tuple[Any, ...]] = []
        self.asked: list[tuple[str, list[Any], dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.folder_changes: list[Any] = []
        self.heard = threading.Event()
        self.more: dict[str, Service] = {}

    def find(self, name: str) -> Service | None:
        known = {
            "progress": Service(self._progress, at_once=True),
            "send_sync": Service(self._send_sync, at_once=True),
            "folder_paths": Service(self._folder_paths),
            "folder_paths_change": Service(
                lambda asker, change, at_import: self.folder_changes.append(change)
            ),
            **self.more,
        }
        return known.get(name)

    def _progress(self, asker: WorkerSpec, value: Any, total: Any, preview: Any, node_id: str | None) -> None:
        self.progressed.append((value, total, preview, node_id))
        self.heard.set()

    def _send_sync(self, asker: WorkerSpec, event: Any, data: Any, sid: Any) -> None:
        self.sent.append((event, data, sid))
        self.heard.set()

    def _folder_paths(
        self, asker: WorkerSpec, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        self.asked.append((function, list(args), dict(kwargs)))
        answer = self.answers.get(function)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def write_pack(parent: Path, files: Mapping[str, str], name: str = "fake-pack") -> Path:
    """A pack folder with these files (texts are dedented)."""
    pack = parent / "custom_nodes" / name
    for path, text in files.items():
        target = pack / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text), encoding="utf-8")
    pack.mkdir(parents=True, exist_ok=True)
    return pack


def node_pack(parent: Path, body: str, before: str = "") -> Path:
    """A pack with one node class "Node"; `body` are its methods."""
    text = textwrap.dedent(before) + NODE + textwrap.indent(textwrap.dedent(body), "    ")
    return write_pack(parent, {"__init__.py": text + '\n\nNODE_CLASS_MAPPINGS = {"Node": Node}\n'})


def spec_for(
    pack: Path, site: str = "", *, python: str | Path = sys.executable, **changes: Any
) -> WorkerSpec:
    """How to start a worker for a pack, or its site folder, in the tests' own Python."""
    facts: dict[str, Any] = {
        "site_id": "/".join(filter(None, [pack.name, site])),
        "pack_name": pack.name,
        "python": Path(python),
        "prefix": Path(sys.prefix),
        "module_name": str(pack).replace(".", "_x_"),
        "pack_dir": pack,
        "site_dir": pack / site if site else pack,
        "env_vars": {},
        "comfyui": None,
        "host_facts": {},
        "pycache_dir": pack.parent.parent / "pycache",
        "log_path": pack.parent.parent / "worker.log",
    }
    return WorkerSpec(**{**facts, **changes})


def request(
    module: str, function: str, *args: Any, qualname: str = "Node", instance: str | None = "1", **kwargs: Any
) -> list[Any]:
    """The arguments of a `run` call."""
    return [
        {
            "class": [module, qualname],
            "instance": instance,
            "function": function,
            "args": list(args),
            "kwargs": kwargs,
            "context": {"prompt_id": "prompt", "node_id": "7", "list_index": None},
        }
    ]


def find_interpreter(version: str) -> str | None:
    """An interpreter of that version ("3.9"), looked for where installers put them."""
    home = Path.home()
    patterns = [
        (home / ".pyenv" / "versions", f"{version}.*/bin/python"),
        (home / ".local" / "share" / "uv" / "python", f"cpython-{version}.*/bin/python3"),
        (Path("/opt"), f"python*{version}*/bin/python3"),
        (Path("/usr/local/bin"), f"python{version}"),
        (Path("/usr/bin"), f"python{version}"),
    ]
    for folder, pattern in patterns:
        for candidate in sorted(folder.glob(pattern)):
            probe = [
                str(candidate),
                "-c",
                "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])",
            ]
            answer = subprocess.run(probe, capture_output=True, text=True, check=False)
            if answer.stdout.strip() == version:
                return str(candidate)
    return None
