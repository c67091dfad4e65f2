"""Packs and a store in a temporary directory, and the command line as a process of its own over them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S

from comfy_env_core.cli import program

SCRIPT = Path(__file__).with_name("scripted_cli.py")

NODE = """
class Echo:
    FUNCTION = "echo"
    RETURN_TYPES = ("STRING",)
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING",)}}
    def echo(self, text):
        return (text,)

NODE_CLASS_MAPPINGS = {"Echo": Echo}
"""


class Terminal:
    """What a user has in front of them. Processes that were left running are killed after the test."""

    def __init__(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.custom_nodes = directory / "custom_nodes"
        self.custom_nodes.mkdir()
        self.store = directory / "store"
        self.running: list[subprocess.Popen[str]] = []

    def pack(self, name: str, config: str | None = "", source: str = NODE) -> Path:
        """`config` None: a pack that isolates nothing."""
        root = self.custom_nodes / name
        root.mkdir(parents=True)
        (root / "__init__.py").write_text(source)
        if config is not None:
            (root / "comfy-env.toml").write_text(config)
        return root

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """With pipes unless `options` of Popen say otherwise."""
        variables = options.pop("variables", {})
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            cwd=self.custom_nodes,
            env={**os.environ, "COMFY_ENV_ROOT": str(self.store), "PWD": str(self.custom_nodes), **variables},
            text=True,
            **{**streams, **options},
        )
        self.running.append(process)
        return process

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, variables=variables)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def look(self, *arguments: str) -> str:
        """What a command that succeeds writes, run in this process: starting one takes most of its time."""
        self._monkeypatch.setenv("COMFY_ENV_ROOT", str(self.store))
        self._capsys.readouterr()
        assert program.main([*arguments, "--custom-nodes", str(self.custom_nodes)]) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, monkeypatch, capsys)
    yield terminal
    for process in terminal.running:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_S)
