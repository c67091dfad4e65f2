"""Building, looking, cancelling, rolling back and running from terminals, each command a process of its own."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S, eventually

from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.locks.lock_file import lock_text
from comfy_env_core.building.locks.model import Lock, LockedEnvironment
from comfy_env_core.building.platform import Platform
from comfy_env_core.cli import exit_codes, program


def status(terminal: Any, name: str) -> dict[str, Any]:
    (site,) = json.loads(terminal.look("status", "--json", name))["sites"]
    return dict(site)


def test_what_cannot_be_built_is_told_with_its_remedy_and_fails_alone(terminal: Any) -> None:
    good = terminal.pack("good")
    environment = LockedEnvironment(Platform.current().name, "3.11", {}, (), (), (), ())
    (good / LOCK_NAME).write_text(lock_text(Lock(good / LOCK_NAME, "0" * 64, (environment,))))
    terminal.pack("bad", '[pypi-dependencies]\nmissing = "*"\n')
    outcome = terminal.run("build")
    assert outcome.returncode == exit_codes.FAILED
    assert f"good: {LOCK_NAME} is not used" in outcome.stderr
    assert "1 ready, 1 failed" in outcome.stdout and "There is no package 'missing'." in outcome.stdout
    bad = status(terminal, "bad")
    assert (bad["state"], "Correct the name." in bad["last_build"]) == ("failed", True)
    log = terminal.look("logs", "bad")
    assert log.splitlines()[-1].startswith("# FAILED after")


def test_what_is_not_built_cannot_run_and_names_the_command_that_builds_it(terminal: Any) -> None:
    terminal.pack("mesh")
    outcome = terminal.run("run", "mesh", "--", "python", "-V")
    assert outcome.returncode == exit_codes.FAILED and "build mesh" in outcome.stderr


def test_an_environment_is_built_used_rebuilt_and_rolled_back(terminal: Any) -> None:
    pack = terminal.pack("mesh", '[env_vars]\nGREETING = "hello"\n')
    built = terminal.run("build", "mesh", "--json")
    (site,) = json.loads(built.stdout)["sites"]
    assert (built.returncode, site["state"], site["nodes"]) == (0, "ready", ["Echo"]), built.stderr
    assert "mesh: ready, 1 node" in built.stderr  # progress does not spoil the JSON

    code = "import os, sys; print(os.environ['GREETING'], sys.prefix, *sys.argv); sys.exit(7)"
    ran = terminal.run("run", "mesh", "--", "python", "-c", code, "--", "x", PYTHONPATH="/nonsense")
    info = json.loads(terminal.look("info", site["environment_id"][:5], "--json"))
    prefix = str(Path(info["python"]).parents[1])
    assert (ran.returncode, ran.stdout.split()) == (7, ["hello", prefix, "-c", "--", "x"])
    assert (info["generation"], [use["site"] for use in info["used_by"]]) == (1, ["mesh"])

    assert terminal.run("rebuild", "mesh").returncode == 0
    assert status(terminal, "mesh")["serving"]["generation"] == 2
    assert "build 1" in terminal.look("roll-back", "mesh")
    assert status(terminal, "mesh")["serving"]["generation"] == 1

    # Its nodes were not imported in build 1 since then, and are not while that is being replaced.
    assert terminal.run("rebuild", "mesh").returncode == 0
    assert status(terminal, "mesh")["serving"]["generation"] == 3

    (pack / "comfy-env.toml").write_text('[pypi-dependencies]\nmissing = "*"\n')
    failed = terminal.run("rebuild", "mesh")
    assert failed.returncode == exit_codes.FAILED and "'missing'" in failed.stdout
    assert status(terminal, "mesh")["serving"]["environment_id"] == site["environment_id"]


def test_nothing_to_roll_back_to_says_what_to_do(
    terminal: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFY_ENV_ROOT", str(terminal.store))
    terminal.pack("mesh")
    assert (
        program.main(["roll-back", "mesh", "--custom-nodes", str(terminal.custom_nodes)]) == exit_codes.FAILED
    )
    assert "no earlier build" in caplog.text


def test_one_terminal_sees_follows_and_cancels_what_another_builds(terminal: Any) -> None:
    terminal.pack("slow")
    following = terminal.start("logs", "-f", "slow")
    building = terminal.start("build", variables={"SCRIPTED_SECONDS": "60"})
    assert eventually(lambda: any(terminal.store.glob("_env_*/job.json")))
    running = status(terminal, "slow")
    assert (running["state"], running["build"]["pid"]) == ("building", building.pid)
    cancelled = terminal.run("cancel", "slow")
    assert (cancelled.returncode, "cancelled" in cancelled.stdout) == (0, True)
    out, error = building.communicate(timeout=PATIENCE_S)
    assert building.returncode == exit_codes.FAILED and "Traceback" not in error and "cancelled" in out
    assert any("FAILED" in line for line in iter(following.stdout.readline, "# never"))
    assert "Nothing is being built" in terminal.look("cancel", "--all")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_is_shown_one_bar_a_build_that_fits_and_is_gone_at_the_end(terminal: Any) -> None:
    import pty

    terminal.pack("a-pack-with-a-long-name-of-its-own")
    ours, theirs = pty.openpty()
    variables = {
        "COLUMNS": "70",
        "TERM": "xterm",
        "SCRIPTED_SECONDS": "0.5",
        "PYTHONIOENCODING": "ascii",
    }
    process = terminal.start("build", stdout=theirs, stderr=theirs, variables=variables)
    os.close(theirs)
    shown = _read_all(ours)
    assert process.wait(timeout=PATIENCE_S) == 0
    bars = [line for line in re.split(r"[\r\n]|\x1b\[[AJ]", shown) if "installing" in line]
    assert bars and all(len(bar) < 70 for bar in bars)
    assert any(re.search(r"#+-* +\d+%", bar) for bar in bars)
    assert "installing" not in shown.rpartition("\x1b[J")[2] and "1 ready, 0 failed" in shown


def _read_all(descriptor: int) -> str:
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # how Linux says that the other end of a pseudo-terminal is closed
            chunk = b""
        if not chunk:
            os.close(descriptor)
            return b"".join(chunks).decode()
        chunks.append(chunk)
