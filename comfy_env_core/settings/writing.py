"""Changing settings: all that are named or none, however many processes do it at once."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.locks import settings_lock
from comfy_env_core.environments.store import Store
from comfy_env_core.settings.stored import read
from comfy_env_core.settings.table import BY_NAME, Setting, Value

#: Whoever holds the lock writes one small file.
_WAIT_S = 10.0


class SettingsError(Exception):
    """Nothing was changed. `remedy`: what to do, for people."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class UnknownSetting(SettingsError):
    pass


class WrongValue(SettingsError):
    pass


class FixedByVariable(SettingsError):
    """The environment decides: what the file says would change nothing."""


class FileUnusable(SettingsError):
    """The disk refuses, or another process does not let go of the file."""


def change(store: Store, changes: Mapping[str, Value], environ: Mapping[str, str]) -> None:
    """Writes these values; None takes one back to its default. What else stands in the file stays.

    A file that is broken is kept beside the new one. Raises SettingsError.
    """
    for name, value in changes.items():
        _check(find(name), value, environ)
    path = store.settings_path
    try:
        with _locked(store):
            stored = read(store)
            if stored.is_closed:
                raise FileUnusable(str(stored.problem), "Then set it again.")
            if stored.problem is not None:
                _keep_aside(path)
            values = {name: value for name, value in stored.values.items() if name not in changes}
            values |= {name: value for name, value in changes.items() if value is not None}
            write_atomically(path, json.dumps(values, indent=2).encode() + b"\n")
    except OSError as error:
        raise FileUnusable(
            f"{path} cannot be written: {error.strerror or error}.",
            "Make the directory of the store writable for you and see that its disk has room.",
        ) from error


def find(name: str) -> Setting:
    """Raises UnknownSetting."""
    setting = BY_NAME.get(name)
    if setting is None:
        raise UnknownSetting(f"There is no setting {name!r}.", f"There are {', '.join(BY_NAME)}.")
    return setting


def _check(setting: Setting, value: Value, environ: Mapping[str, str]) -> None:
    variable = setting.set_by(environ)
    if variable is not None:
        raise FixedByVariable(
            f"{setting.name} is set by the environment variable {variable}, which always wins.",
            "Remove that variable where ComfyUI is started, or change it there.",
        )
    problem = setting.problem(value) if value is not None else None
    if problem is not None:
        raise WrongValue(f"{setting.name} {problem}.", setting.meaning)


@contextlib.contextmanager
def _locked(store: Store) -> Iterator[None]:
    lock = settings_lock(store)
    if not lock.try_acquire(_WAIT_S):
        raise FileUnusable(
            f"Process {lock.holder()} has been writing the settings for {_WAIT_S:g} s.",
            "Wait for it, or end it.",
        )
    try:
        yield
    finally:
        lock.release()


def _keep_aside(path: Path) -> None:
    """A copy, under a name that is not taken. Raises OSError."""
    number = 1
    while (aside := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    shutil.copyfile(path, aside)
