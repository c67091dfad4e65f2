"""Homes that are missing, and stores that belong to somebody else: a child of the test gives up its privileges."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from comfy_env_core.building.errors import BuildCause, disk_error
from comfy_env_core.environments.home import user_home
from comfy_env_core.environments.store import Store

#: A number that no passwd knows.
NOBODY = 54321

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="becoming another user takes root"
)


def as_nobody(function: Callable[[], str]) -> str:
    """What `function` returns in a process of a user without home, passwd entry and rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.environ.pop("HOME", None)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, function().encode())
        except BaseException:  # noqa: BLE001 – the end of the child's world
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def test_a_user_without_a_home_starts_and_is_told_to_choose_a_store() -> None:
    def make_store() -> str:
        root = Store.default({}).root
        try:
            root.mkdir(parents=True)
        except OSError as error:
            return str(disk_error(error, "Creating the environment", root))
        return f"made {root}"

    message = as_nobody(make_store)
    assert "/.ce" in message
    assert "COMFY_ENV_ROOT" in message


def test_a_home_that_is_named_wins_over_the_missing_one(tmp_path: Path) -> None:
    def home() -> str:
        os.environ["HOME"] = str(tmp_path)
        return str(user_home())

    assert as_nobody(home) == str(tmp_path)


def test_a_store_of_another_user_can_be_read_and_names_its_owner_when_it_is_to_be_changed(
    tmp_path: Path,
) -> None:
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o005 != 0o005:
            if directory.stat().st_uid != 0 or "pytest" not in str(directory):
                pytest.skip(f"{directory} lets nobody through")
            directory.chmod(0o755)
    store = Store(tmp_path / "store")
    workspace = store.environment("0123abcd").begin_generation()
    (workspace.directory / "file").write_text("")

    def change() -> str:
        assert list(store.environments())
        try:
            store.environment("aaaaaaaa").begin_generation()
        except OSError as error:
            failure = disk_error(error, "Creating the environment", store.environment("aaaaaaaa").directory)
            return f"{failure.cause.value}: {failure}"
        return "changed"

    message = as_nobody(change)
    assert message.startswith(BuildCause.PERMISSION.value), message
    assert f"{str(store.root)!r} belongs to another user (number 0)" in message
    assert "COMFY_ENV_ROOT" in message
