"""Running tools: their output as it comes, and their end whenever we want it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest
from patience import PATIENCE_S

from comfy_env_core.building.commands import run_logged
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import QuietReport


class Listening(QuietReport):
    """Keeps the lines; asks to cancel as soon as one of them is `cancel_at`."""

    def __init__(self, cancel_at: str | None = None) -> None:
        self.lines: list[str] = []
        self.cancel_at = cancel_at

    def log(self, line: str) -> None:
        self.lines.append(line)

    def check(self) -> None:
        if self.cancel_at in self.lines:
            raise BuildError(BuildCause.CANCELLED, "cancelled", "")


def run(code: str, report: Listening, timeout_s: float = PATIENCE_S) -> tuple[int, tuple[str, ...]]:
    argv = [sys.executable, "-u", "-c", code]
    completed = run_logged(argv, env=dict(os.environ), cwd=None, report=report, timeout_s=timeout_s)
    return completed.returncode, completed.lines


def ends(pid: int) -> bool:
    """Whether the process ends soon: a killed one takes a moment to go."""
    deadline = time.monotonic() + 5  # the sleepers would end by themselves
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no-such-program"):
        run_logged([tmp_path / "no-such-program"], env={}, cwd=None, report=Listening(), timeout_s=5)


def test_a_failing_command_gives_its_code_and_all_its_output() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert run(code, Listening()) == (3, ("out", "err"))


def test_a_timeout_kills_the_tool_and_shows_its_last_lines() -> None:
    report = Listening()
    started = time.monotonic()
    with pytest.raises(BuildError, match="had not ended after 1 s") as caught:
        run("import os,time; print(os.getpid()); time.sleep(300)", report, timeout_s=1)
    assert time.monotonic() - started < 5
    assert caught.value.cause is BuildCause.TIMED_OUT
    assert caught.value.tail == tuple(report.lines)
    assert not psutil.pid_exists(int(report.lines[0]))


def test_cancel_kills_a_tool_that_ignores_every_polite_signal() -> None:
    code = (
        "import signal,time,os\n"
        "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
        "print(os.getpid()); print('now'); time.sleep(300)"
    )
    report = Listening(cancel_at="now")
    with pytest.raises(BuildError, match="cancelled"):
        run(code, report)
    assert not psutil.pid_exists(int(report.lines[0]))


def test_a_process_left_behind_neither_survives_nor_holds_us_up() -> None:
    code = (
        "import subprocess,sys\n"
        "print(subprocess.Popen([sys.executable,'-c','import time; time.sleep(300)']).pid)"
    )
    started = time.monotonic()
    returncode, lines = run(code, Listening())
    assert returncode == 0
    assert time.monotonic() - started < 5
    assert ends(int(lines[0]))


def test_a_tool_that_closes_its_output_early_is_waited_for(tmp_path: Path) -> None:
    end = str(tmp_path / "end")
    code = f"import os,time; os.close(1); os.close(2); time.sleep(0.5); open({end!r}, 'w').close()"
    assert run(code, Listening()) == (0, ())
    assert (tmp_path / "end").exists()


def test_progress_bars_and_colours_become_plain_lines() -> None:
    code = r"import sys; sys.stdout.write('1/3\r2/3\r\x1b[32m3/3\x1b[0m\nlast')"
    assert run(code, Listening()) == (0, ("1/3", "2/3", "3/3", "last"))


def test_bytes_that_are_no_text_do_not_stop_the_reading() -> None:
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe broken\nfine\n')"
    assert run(code, Listening())[1][1] == "fine"


def test_much_output_arrives_whole_and_in_order() -> None:
    lines = run("for i in range(15000): print(i)", Listening())[1]
    assert lines == tuple(str(i) for i in range(15000))


@pytest.mark.skipif(not hasattr(os, "nice"), reason="SKIPPED LOUDLY: niceness is POSIX's")
def test_a_build_gives_way_to_what_else_runs() -> None:
    code = "import os, time\nwhile os.nice(0) < 10: time.sleep(0.01)\nprint('nice', os.nice(0))"
    assert run(code, Listening()) == (0, (f"nice {max(10, os.nice(0))}",))


#: Starts three sleepers: in a session of its own, as an orphan of a session of its own, and without our environment.
_LEAVING = """
import os, subprocess, sys, time
sleeper = [sys.executable, '-c', 'import time; time.sleep(300)']
print(subprocess.Popen(sleeper, start_new_session=True).pid)
orphan = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True).pid, flush=True)"
subprocess.run([sys.executable, '-c', orphan, *sleeper], start_new_session=True)
print(subprocess.Popen(sleeper, start_new_session=True, env={}).pid)
print('now')
time.sleep(300)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing leaves a job object")
def test_a_cancel_also_ends_what_has_left_the_process_group() -> None:
    report = Listening(cancel_at="now")
    started = time.monotonic()
    with pytest.raises(BuildError, match="cancelled"):
        run(_LEAVING, report)
    assert time.monotonic() - started < 5
    assert len(report.lines) == 4
    assert all(ends(int(pid)) for pid in report.lines[:3])


@pytest.mark.skipif(sys.platform == "win32", reason="nothing leaves a job object")
def test_a_tool_that_fails_leaves_no_daemon_behind() -> None:
    code = _LEAVING.replace("time.sleep(300)\n", "sys.exit(1)\n")
    returncode, lines = run(code, Listening())
    assert returncode == 1
    assert all(ends(int(pid)) for pid in lines[:2])


def test_a_line_without_end_neither_fills_the_memory_nor_the_log() -> None:
    code = "import sys\nfor _ in range(3000): sys.stdout.write('x' * 10_000)\nprint('\\nlast')"
    started = time.monotonic()
    lines = run(code, Listening())[1]
    assert time.monotonic() - started < 5
    assert lines[-1] == "last"
    assert max(map(len, lines)) < 5000


def test_the_least_free_space_is_remembered_although_the_tool_cleans_up(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "with open('large', 'wb') as file: file.write(os.urandom(64 << 20)); file.flush(); os.fsync(file.fileno())\n"
        "time.sleep(0.3); os.unlink('large')"
    )
    before = shutil.disk_usage(tmp_path).free
    completed = run_logged(
        [sys.executable, "-c", code], env=dict(os.environ), cwd=tmp_path, report=Listening(), timeout_s=30
    )
    assert completed.least_free_bytes is not None
    assert completed.least_free_bytes < before
