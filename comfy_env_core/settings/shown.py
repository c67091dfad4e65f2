"""Every setting with its value and where that comes from, for the panel and for the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from comfy_env_core.building.user_settings import redact
from comfy_env_core.environments.store import Store
from comfy_env_core.settings.stored import Stored, read
from comfy_env_core.settings.table import SETTINGS, Setting, Value

Source = Literal["default", "settings", "environment"]


@dataclasses.dataclass(frozen=True)
class ShownSetting:
    """- `value`: what is in effect, or will be (see `Setting.applies`); without passwords.
    - `variable`: the one of the environment that decides, None if none does.
    - `problem`: what is wrong with what was set, for people.
    """

    setting: Setting
    value: Value
    source: Source
    variable: str | None = None
    problem: str | None = None


def show(environ: Mapping[str, str], store: Store) -> tuple[list[ShownSetting], Stored]:
    """All of them in the order of the table, and the file that was read."""
    stored = read(store)
    return [_show(setting, environ, stored) for setting in SETTINGS], stored


def _show(setting: Setting, environ: Mapping[str, str], stored: Stored) -> ShownSetting:
    variable = setting.set_by(environ)
    if variable is not None:
        return _of_variable(setting, variable, environ[variable])
    problem = stored.problem_of(setting)
    value = stored.values.get(setting.name)
    if value is None or problem is not None:
        return ShownSetting(setting, setting.default, "default", problem=problem)
    return ShownSetting(setting, value, "settings")


def _of_variable(setting: Setting, variable: str, text: str) -> ShownSetting:
    """A variable may hold what the file may not: a directory, a password, a number that is too large."""
    value = setting.from_text(redact(text))
    problem = None if setting.kind == "url" else setting.problem(value)
    if problem is not None:
        problem = f"{variable}: {setting.name} {problem}. Correct the variable where ComfyUI is started."
    return ShownSetting(setting, value, "environment", variable, problem)
