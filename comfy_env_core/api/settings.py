"""`/comfy-env/settings`: what people choose for all ComfyUIs of this machine, and where the store is and could be."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.refusals import BAD_REQUEST, DISK, NOT_POSSIBLE, Refusal
from comfy_env_core.api.schema import Bounds, Length
from comfy_env_core.api.store_place import StorePlaceJson, show_place
from comfy_env_core.settings.effective import effective
from comfy_env_core.settings.shown import ShownSetting, show
from comfy_env_core.settings.table import LONGEST_IDLE_S, MOST_WORKERS
from comfy_env_core.settings.urls import LONGEST_URL
from comfy_env_core.settings.writing import FileUnusable, FixedByVariable, SettingsError, change
from comfy_env_core.supervision import IdlePolicy

Url = Annotated[str, Length(LONGEST_URL)]


class SettingJson(TypedDict):
    """- `value`: what is in effect, or will be when `applies` says so; null for an address that is not set. Passwords
      in variables of the environment are left out.
    - `source`: where the value comes from; `variable`: the one that decides, which the panel cannot change.
    - `least`, `most`: of numbers, both allowed.
    - `applies`: when a change takes effect; "restart" is the next start of ComfyUI.
    - `problem`: what is wrong with what was set, for people.
    """

    name: str
    value: str | int | float | None
    default: str | int | float | None
    source: Literal["default", "settings", "environment"]
    variable: str | None
    kind: Literal["choice", "integer", "seconds", "url", "text"]
    choices: list[str] | None
    least: float | None
    most: float | None
    applies: Literal["now", "next_build", "restart"]
    problem: str | None


class SettingsJson(TypedDict):
    """- `file`: where they are kept, in the store: for every ComfyUI of this machine.
    - `file_problem`: why nothing of the file is used, for people; null when it is in order.
    """

    file: str
    file_problem: str | None
    settings: list[SettingJson]
    store: StorePlaceJson


class SettingsChange(TypedDict, total=False):
    """What is to change, all of it or nothing. null: back to the default."""

    build_at_start: Literal["background", "blocking", "off"] | None
    max_workers: Annotated[int, Bounds(0, MOST_WORKERS)] | None
    idle_timeout_s: Annotated[float, Bounds(0, LONGEST_IDLE_S)] | None
    engine: Literal["auto", "pixi", "embedded"] | None
    pypi_index: Url | None
    conda_mirror: Url | None
    pixi_mirror: Url | None
    torch_mirror: Url | None


def operations(backend: Backend) -> list[Operation]:
    settings = Settings(backend)
    return [
        Operation("GET", "/settings", settings.show, SettingsJson, tag="settings"),
        Operation(
            "POST",
            "/settings",
            settings.change,
            SettingsJson,
            body=SettingsChange,
            refusals=(NOT_POSSIBLE, DISK),
            tag="settings",
        ),
    ]


class Settings:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def show(self, ask: Ask) -> SettingsJson:
        """Every setting with its value and where that comes from, and the disks that the store could be moved to."""
        backend = self._backend
        shown, stored = show(backend.environ, backend.store)
        return {
            "file": str(stored.path),
            "file_problem": stored.problem,
            "settings": [_as_json(one) for one in shown],
            "store": show_place(backend),
        }

    def change(self, ask: Ask) -> SettingsJson:
        """Changes what is named. What an environment variable sets cannot be changed here.

        Addresses begin with http:// or https:// and hold no user name or password.
        """
        backend = self._backend
        try:
            change(backend.store, ask.body, backend.environ)
        except SettingsError as error:
            raise _refusal(error).because(error.message, error.remedy) from error
        backend.manager.workers.follow(IdlePolicy.from_environment(effective(backend.environ, backend.store)))
        backend.feed.settings_changed()
        return self.show(ask)


def _refusal(error: SettingsError) -> Refusal:
    if isinstance(error, FixedByVariable):
        return NOT_POSSIBLE
    return DISK if isinstance(error, FileUnusable) else BAD_REQUEST


def _as_json(shown: ShownSetting) -> SettingJson:
    setting = shown.setting
    is_number = setting.kind in ("integer", "seconds")
    default: Any = setting.default
    return {
        "name": setting.name,
        "value": shown.value,
        "default": default,
        "source": shown.source,
        "variable": shown.variable,
        "kind": setting.kind,
        "choices": list(setting.choices) or None,
        "least": setting.least if is_number else None,
        "most": setting.most if is_number else None,
        "applies": setting.applies,
        "problem": shown.problem,
    }
