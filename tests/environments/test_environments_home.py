"""Homes that are missing, and stores that belong to somebody else: a child of the test gives up its privileges."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from otheruser import as_nobody, let_through, needs_root

from comfy_env_core.building.engines.interpreter_places import candidates
from comfy_env_core.building.errors import BuildCause, disk_error
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.home import user_home
from comfy_env_core.environments.store import Store

pytestmark = needs_root


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


def test_a_home_that_may_not_be_entered_holds_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    """A container that runs as a number, with HOME=/root left in its image."""
    home = tmp_path / "root"
    (home / ".ce" / "_env_0123abcd").mkdir(parents=True)
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text("[global]\nindex-url = https://never-read/simple\n")
    let_through(tmp_path)
    home.chmod(0o700)

    def look() -> str:
        os.environ["HOME"] = str(home)
        sys._base_executable = "/nowhere/python"  # type: ignore[attr-defined]  # the tests' own may be in a closed home
        settings = UserSettings.gather({"HOME": str(home), "PIP_CONFIG_FILE": os.devnull}, user_home())
        store = Store.default({})
        found = candidates(settings, store.root / "pythons")
        assert list(store.environments()) == []
        assert store.environment("0123abcd").current() is None
        return f"{settings.index_url} {len(found) > 0}"

    assert as_nobody(look) == "None True"


def test_a_store_of_another_user_can_be_read_and_names_its_owner_when_it_is_to_be_changed(
    tmp_path: Path,
) -> None:
    let_through(tmp_path)
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
