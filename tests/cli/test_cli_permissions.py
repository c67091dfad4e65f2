"""A command in a store that may not be entered ends with a sentence, not with a traceback."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path

import pytest
from otheruser import as_nobody, let_through, needs_root

from comfy_env_core.cli import exit_codes, program

pytestmark = needs_root


@pytest.mark.parametrize("command", [["status"], ["gc", "--dry-run"]])
def test_a_store_that_may_not_be_entered_is_told_with_a_remedy(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "root").mkdir()
    let_through(tmp_path)
    (tmp_path / "root").chmod(0o700)
    arguments = [*command, "--custom-nodes", str(tmp_path / "custom_nodes")]
    monkeypatch.setenv("COMFY_ENV_ROOT", str(tmp_path / "own"))
    program.main(
        arguments
    )  # imports what the command needs: the tests' Python may lie in a home closed to the child

    def run() -> str:
        os.environ["COMFY_ENV_ROOT"] = str(tmp_path / "root" / ".ce")
        told = io.StringIO()
        logging.getLogger("comfy-env").addHandler(logging.StreamHandler(told))
        with contextlib.redirect_stdout(io.StringIO()):
            code = program.main(arguments)
        return f"{code} {told.getvalue()}"

    code, _, told = as_nobody(run).partition(" ")
    assert code.isdigit(), f"{code} {told}"
    assert int(code) == exit_codes.FINE or "COMFY_ENV_ROOT" in told
