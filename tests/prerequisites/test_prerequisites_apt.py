"""Installing with apt: what it says while it works, and why it fails. A stand-in plays apt where a machine must not
be changed; where the real one may be asked, it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Phase, QuietReport
from comfy_env_core.prerequisites.system import rights
from comfy_env_core.prerequisites.system.apt import AptPackages, is_here

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="apt is a program of Linux")

_LOCK = Path("/var/lib/dpkg/lock-frontend")
needs_root_and_apt = pytest.mark.skipif(
    not is_here() or not rights.is_root(), reason="takes apt's own lock: needs apt and root"
)
may_change_the_machine = pytest.mark.skipif(
    not os.environ.get("COMFY_ENV_TESTS_APT"), reason="installs a package: COMFY_ENV_TESTS_APT is not set"
)


class Told(QuietReport):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.phases: list[tuple[Phase, str]] = []
        self.lines: list[str] = []

    def phase(self, phase: Phase, text: str = "") -> None:
        self.phases.append((phase, text))

    def log(self, line: str) -> None:
        self.lines.append(line)


Play = Callable[..., AptPackages]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Puts an apt on PATH that does what the arguments say; every call of it is a line of `calls`."""

    def play(
        *, apt_get: str, offered: str = "hello", status: str = "", has_lists: bool = True
    ) -> AptPackages:
        programs, lists = tmp_path / "bin", tmp_path / "lists"
        programs.mkdir(exist_ok=True)
        lists.mkdir(exist_ok=True)
        if has_lists:
            (lists / "deb_dists_main_Packages.lz4").write_bytes(b"")
        (tmp_path / "status").write_text(status)
        policies = "".join(f"echo '{name}:'; echo '  Candidate: 1.0'\n" for name in offered.split())
        prelude = f'#!/bin/sh\necho "$(basename $0) $*" >> {tmp_path}/calls\nSTATUS={tmp_path}/status\n'
        for name, script in {"apt-get": apt_get, "apt-cache": policies, "dpkg": apt_get}.items():
            program = programs / name
            program.write_text(prelude + script)
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.setattr(rights, "silent_prefix", lambda: ())
        return AptPackages(status_path=tmp_path / "status", lists_path=lists, lock_paths=(tmp_path / "lock",))

    return play


_INSTALLED = "Package: hello\\nStatus: install ok installed\\nArchitecture: amd64\\n"


def test_package_is_downloaded_first_and_then_installed_with_progress(play: Play, tmp_path: Path) -> None:
    script = f"""echo "dlstatus:1:40.0000:Retrieving file 1 of 1"
case "$*" in *--download-only*) ;; *) echo "pmstatus:hello:60.0000:Configuring hello (amd64)"
echo "Setting up hello"; printf '{_INSTALLED}' > $STATUS;; esac"""
    told = Told()
    play(apt_get=script).install(["hello"], told)
    calls = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("apt-get")]
    assert [" --download-only " in call for call in calls] == [True, False]
    assert (Phase.DOWNLOADING, "Retrieving file 1 of 1") in told.phases
    assert (Phase.INSTALLING, "Configuring hello (amd64)") in told.phases
    assert told.lines == ["Setting up hello"]


def test_unknown_name_is_told_after_an_update_and_holds_up_no_other(play: Play, tmp_path: Path) -> None:
    apt = play(apt_get=f"printf '{_INSTALLED}' > $STATUS")
    with pytest.raises(BuildError) as caught:
        apt.install(["hello", "libmissing-dev"], QuietReport())
    assert caught.value.cause is BuildCause.NO_SUCH_PACKAGE
    assert "offers libmissing-dev. hello was installed" in caught.value.message
    assert "apt-cache search" in caught.value.remedy
    assert "apt-get update" in (tmp_path / "calls").read_text()
    assert apt.missing(["hello"]) == ()


def test_renamed_and_dropped_packages_are_asked_for_by_their_new_names(play: Play) -> None:
    apt = play(apt_get="true", offered="libasound2t64 libgl1 libglx-mesa0")
    plan = apt.plan(["libasound2", "libgl1-mesa-glx"])
    assert plan.install == ("libasound2t64", "libgl1", "libglx-mesa0")
    assert plan.unknown == ()


def test_failing_package_is_named(play: Play) -> None:
    script = """case "$*" in *--download-only*) exit 0;; esac
echo "pmerror:/var/cache/apt/archives/hello_2.10-3_amd64.deb:50.0000:trying to overwrite '/usr/bin/hello'"
exit 100"""
    with pytest.raises(BuildError) as caught:
        play(apt_get=script).install(["hello"], QuietReport())
    assert caught.value.cause is BuildCause.OTHER_TOOL
    assert "could not install hello" in caught.value.message
    assert any("trying to overwrite" in line for line in caught.value.tail)


def test_failing_download_is_not_taken_for_a_failing_installation(play: Play) -> None:
    with pytest.raises(BuildError) as caught:
        play(apt_get="echo 'E: Failed to fetch http://deb/hello.deb'; exit 100").install(
            ["hello"], QuietReport()
        )
    assert caught.value.cause is BuildCause.NETWORK
    assert "before anything was installed" in caught.value.message
    assert caught.value.tail == ("E: Failed to fetch http://deb/hello.deb",)


def test_apt_that_claims_to_have_installed_is_not_believed(play: Play) -> None:
    with pytest.raises(BuildError, match="without complaint, but hello is not there"):
        play(apt_get="true").install(["hello"], QuietReport())


def test_without_the_right_to_install_the_command_is_told_and_nothing_asked(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = play(apt_get="true")
    monkeypatch.setattr(rights, "silent_prefix", lambda: None)
    monkeypatch.setattr(rights, "is_root", lambda: False)
    with pytest.raises(BuildError) as caught:
        apt.install(["hello"], QuietReport())
    assert caught.value.cause is BuildCause.PERMISSION
    assert "sudo apt-get install -y --no-install-recommends hello" in caught.value.remedy
    assert "apt-get" not in (tmp_path / "calls").read_text()


def test_sudo_that_would_ask_for_a_password_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\ntest -t 0 && exit 3\necho 'sudo: a password is required' >&2\nexit 1\n")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(rights, "is_root", lambda: False)
    assert rights.silent_prefix() is None
    sudo.write_text('#!/bin/sh\ntest "$1" = -n && shift && exec "$@"\n')
    assert rights.silent_prefix() == (str(sudo), "-n", "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")


@pytest.fixture
def lock_holder() -> Iterator[int]:
    """Another process that installs packages just now, as apt sees it."""
    script = f"import fcntl; f = open({str(_LOCK)!r}, 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    yield holder.pid
    holder.communicate(b"\n")


@needs_root_and_apt
def test_lock_held_by_another_process_is_waited_for_and_then_named(lock_holder: int) -> None:
    apt = AptPackages(lock_timeout_s=1)
    if not apt.plan(["hello"]).install or not apt.missing(["hello"]):
        pytest.skip("the package hello is installed, or not offered here")
    with pytest.raises(BuildError) as caught:
        apt.install(["hello"], QuietReport())
    assert caught.value.cause is BuildCause.TIMED_OUT
    assert f"process {lock_holder} (python" in caught.value.message


@needs_root_and_apt
@may_change_the_machine
def test_small_package_is_really_installed() -> None:
    apt = AptPackages()
    assert apt.missing(["hello"]) == ("hello",)
    told = Told()
    try:
        apt.install(["hello"], told)
        assert shutil.which("hello")
        assert (Phase.INSTALLING, "Installed hello (amd64)") in told.phases
    finally:
        subprocess.run(["apt-get", "remove", "-y", "hello"], check=True, capture_output=True)
