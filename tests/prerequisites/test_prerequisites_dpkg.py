"""What dpkg's database says is installed, under whatever name."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_env_core.prerequisites.system.apt import AptPackages

STATUS = """Package: libgl1
Status: install ok installed
Architecture: amd64
Version: 1.6.0-1
Description: a library
 Package: not-a-field
 Provides: nothing

Package: libglx-mesa0
Status: hold ok installed
Architecture: amd64

Package: libasound2t64
Status: install ok installed
Architecture: amd64
Provides: libasound2 (= 1.2.11-1), libasound2-api

Package: libssl3t64
Status: install ok triggers-pending
Architecture: amd64

Package: mawk
Status: install ok installed
Architecture: amd64
Provides: awk

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Provides: gone-virtual

Package: broken
Status: install ok half-configured
Architecture: amd64
"""


@pytest.fixture
def apt(tmp_path: Path) -> AptPackages:
    status = tmp_path / "status"
    status.write_text(STATUS)
    return AptPackages(status_path=status, lists_path=tmp_path / "lists")


@pytest.mark.parametrize(
    "name",
    [
        "libgl1",
        "libgl1:amd64",
        "libglx-mesa0",
        "libasound2",  # provided by its successor
        "libssl3",  # renamed, and its Provides forgotten
        "libasound2t64",
        "awk",
        "libgl1-mesa-glx",  # what it stood for is there
    ],
)
def test_package_that_is_there_under_any_name_is_not_missing(apt: AptPackages, name: str) -> None:
    assert apt.missing([name]) == ()


@pytest.mark.parametrize(
    "name", ["nothing", "gone", "gone-virtual", "broken", "libgl1:arm64", "libegl1-mesa", "", "a"]
)
def test_package_that_is_not_installed_is_missing(apt: AptPackages, name: str) -> None:
    assert apt.missing([name]) == (name,)


def test_unfinished_installation_is_finished_first_and_missing_lists_are_fetched(apt: AptPackages) -> None:
    plan = apt.plan(["ffmpeg"])
    lines = [line.removeprefix("sudo ") for line in plan.shell_lines()]
    assert lines == [
        "dpkg --configure -a",
        "apt-get update",
        "apt-get install -y --no-install-recommends ffmpeg",
    ]


def test_nothing_missing_needs_no_command(apt: AptPackages) -> None:
    assert apt.plan([]).commands == ()
