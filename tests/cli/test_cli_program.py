"""What all commands have in common: help, names, exit codes, streams."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S, eventually

from comfy_env_core.building.running_job import read_running_job
from comfy_env_core.cli import exit_codes, program, table
from comfy_env_core.environments.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = (
    *(
        "scan",
        "status",
        "build",
        "rebuild",
        "cancel",
        "roll-back",
        "logs",
        "generate",
        "lock",
        "info",
        "doctor",
    ),
    *("init", "apt-install", "node-packs", "gc", "move-store", "settings", "support-bundle", "run"),
)


def test_an_unknown_command_is_answered_with_the_close_ones(caplog: pytest.LogCaptureFixture) -> None:
    assert program.main(["rebild"]) == exit_codes.USAGE
    assert "'rebild'" in caplog.text and "rebuild" in caplog.text


def test_a_wrong_argument_is_a_wrong_usage_and_not_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["status", "--jsno"])
    assert ended.value.code == exit_codes.USAGE
    assert "--jsno" in capsys.readouterr().err


def test_there_is_a_command_for_everything() -> None:
    assert set(COMMANDS) <= set(table.names())


@pytest.mark.parametrize("name", table.names())
def test_help_teaches_by_examples_that_are_true(name: str) -> None:
    command = table.load(name)
    assert command.name == name and command.examples
    text = command.parser().format_help()
    assert "examples:" in text and "--custom-nodes" in text
    for example in command.examples:
        options = command.parse(shlex.split(example.arguments.partition(" > ")[0]))
        assert isinstance(options, argparse.Namespace)
        assert f"{name} {example.arguments}".rstrip() in text and example.effect in text


def test_the_overview_names_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--help"]) == exit_codes.FINE
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in table.names())
    assert all(meaning in text for meaning in exit_codes.MEANINGS.values())
    assert program.main([]) == exit_codes.USAGE


def test_it_starts_from_anywhere_by_the_path_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes" / "plain").mkdir(parents=True)
    outcome = subprocess.run(
        [sys.executable, str(REPOSITORY / "comfy_env_core"), "scan", "--json"],
        cwd=tmp_path / "custom_nodes",
        env={**os.environ, "PWD": str(tmp_path / "custom_nodes")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert [pack["name"] for pack in json.loads(outcome.stdout)["packs"]] == ["plain"]


def test_help_shows_what_can_be_typed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["custom_nodes/comfy-env-manager/comfy_env_core", "scan"])
    assert (
        "\n  python custom_nodes/comfy-env-manager/comfy_env_core scan\n"
        in table.load("scan").parser().format_help()
    )
    monkeypatch.setattr(sys, "argv", ["/x/comfy_env_core/__main__.py", "scan"])
    assert "\n  python -m comfy_env_core scan\n" in table.load("scan").parser().format_help()


def test_a_reader_that_goes_away_ends_it_quietly(terminal: Any) -> None:
    terminal.pack("some")
    process = terminal.start("scan")
    process.stdout.close()
    assert (process.stderr.read(), process.wait(timeout=PATIENCE_S)) == ("", exit_codes.BROKEN_PIPE)


def test_names_that_the_terminal_cannot_show_are_no_traceback(terminal: Any) -> None:
    terminal.pack("Würfel-節點")
    outcome = terminal.run("scan", PYTHONIOENCODING="ascii", LANG="C")
    assert outcome.returncode == 0, outcome.stderr
    assert "W\\xfcrfel" in outcome.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_build_that_is_ended_ends_soon_and_is_not_taken_for_ready(terminal: Any) -> None:
    terminal.pack("slow")
    process = terminal.start("build", variables={"SCRIPTED_SECONDS": "60"})
    assert eventually(lambda: any(terminal.store.glob("_env_*/job.json")))
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == exit_codes.INTERRUPTED
    assert "Traceback" not in out + error
    (environment,) = Store(terminal.store).environments()
    assert (environment.current(), read_running_job(environment)) == (None, None)
