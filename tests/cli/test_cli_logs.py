"""Logs as a terminal shows them: their ends, what is added, and the next log that takes a name."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from comfy_env_core.building.install_log import InstallLog, read_outcome
from comfy_env_core.cli.log_file import follow, last_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# from x\n12:00:00 resolving\n", None),
        ("# from x\n12:00:00 resolving\n# done after 3.0 s\n", None),
        (
            "12:00:00 x\n# FAILED after 0.1 s: There is no package.\n# Correct it.\n",
            "There is no package. Correct it.",
        ),
        ("", None),
    ],
)
def test_only_a_log_that_ends_with_a_failure_has_one(tmp_path: Path, text: str, expected: str | None) -> None:
    path = tmp_path / "install.log"
    path.write_text(text)
    assert read_outcome(path) == expected
    assert read_outcome(tmp_path / "none") is None


def test_the_failure_of_a_real_log_is_found(tmp_path: Path) -> None:
    log = InstallLog(tmp_path / "install.log", ("building",))
    log.line("resolving")
    log.close("FAILED after 1.0 s: It broke: twice.\nMend it.")
    assert read_outcome(tmp_path / "install.log") == "It broke: twice. Mend it."


def test_the_last_lines_are_the_last(tmp_path: Path) -> None:
    path = tmp_path / "install.log"
    path.write_text("a\nb\nc\n")
    assert last_lines(path, 2) == ["b", "c"]


def test_following_waits_for_the_log_and_goes_on_with_the_next_of_its_name(tmp_path: Path) -> None:
    """Each wait does the next thing that a builder would do meanwhile."""
    path = tmp_path / "install.log"

    def write(text: str, mode: str = "a") -> None:
        with path.open(mode) as file:
            file.write(text)

    def wait() -> None:
        next(steps)()

    def begin_another() -> None:
        os.replace(path, tmp_path / "install.log.1")
        write("second\n", "w")

    steps = iter([lambda: write("old\nfirst\nha"), lambda: write("lf\n"), begin_another, lambda: None])
    lines = follow(path, 1, wait)
    assert list(itertools.islice(lines, 4)) == ["first", "half", "", "second"]
