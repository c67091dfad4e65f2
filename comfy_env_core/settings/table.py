"""All settings: what each may be, which variable outranks it, and when it takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from comfy_env_core.settings.urls import url_problem

#: None: not chosen, so the default.
Value: TypeAlias = "str | int | float | None"
Kind = Literal["choice", "integer", "seconds", "url"]
Applies = Literal["now", "next_build", "restart"]

MOST_WORKERS = 1000
LONGEST_IDLE_S = 30 * 86400
#: As `supervision.idling` has it, which is too much to import at every start.
IDLE_TIMEOUT_S = 4 * 3600


class Setting(
    NamedTuple
):  # making a dataclass would be the larger part of what a start pays for the settings
    """- `variable`: what the rest of the program reads. Set in the environment it wins over the file.
    - `others`: variables that say the same in other tools' words and win as well.
    - `least`, `most`: of a number, both allowed.
    - `meaning`: a sentence for people.
    """

    name: str
    kind: Kind
    variable: str
    applies: Applies
    meaning: str
    default: Value = None
    choices: tuple[str, ...] = ()
    least: float = 0.0
    most: float = 0.0
    others: tuple[str, ...] = ()

    def problem(self, value: object) -> str | None:
        """What is wrong with a value other than None, in words that complete "max_workers "; None when it is right."""
        if self.kind == "choice":
            return None if value in self.choices else f"is {value!r}, not one of {', '.join(self.choices)}"
        if self.kind == "url":
            return url_problem(value)
        return self._number_problem(value)

    def as_variable(self, value: Value) -> str:
        """The text for `variable`; "" to leave it unset."""
        if value is None or (value == self.default and self.kind == "choice"):
            return ""
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() else repr(value)
        return str(value)

    def from_text(self, text: str) -> Value:
        """What somebody typed, in the type that `problem` looks at."""
        text = text.strip()
        if self.kind in ("integer", "seconds"):
            try:
                number = float(text)
            except ValueError:
                return text
            return int(number) if number.is_integer() else number
        return text.lower() if self.kind == "choice" else text

    def set_by(self, environ: Mapping[str, str]) -> str | None:
        """The variable of the environment that decides, None if there is none. An empty one decides nothing."""
        names = (self.variable, *self.others)
        return next((name for name in names if environ.get(name, "").strip()), None)

    def _number_problem(self, value: object) -> str | None:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            is_of_kind = self.kind == "seconds" or float(value).is_integer()
            if is_of_kind and self.least <= value <= self.most:
                return None
        wanted = "a whole number" if self.kind == "integer" else "a number of seconds"
        return f"is {value!r}, not {wanted} from {self.least:g} to {self.most:g}"


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "build_at_start",
        "choice",
        "COMFY_ENV_BUILD",
        "restart",
        "What happens at start with environments that are missing: built in the background, waited for, or nothing.",
        default="background",
        choices=("background", "blocking", "off"),
    ),
    Setting(
        "max_workers",
        "integer",
        "COMFY_ENV_MAX_WORKERS",
        "now",
        "How many worker processes may run at once; 0 for no limit.",
        default=0,
        least=0,
        most=MOST_WORKERS,
    ),
    Setting(
        "idle_timeout_s",
        "seconds",
        "COMFY_ENV_IDLE_TIMEOUT_S",
        "now",
        "After how many seconds without work a worker ends; 0 for never.",
        default=IDLE_TIMEOUT_S,
        least=0,
        most=LONGEST_IDLE_S,
    ),
    Setting(
        "engine",
        "choice",
        "COMFY_ENV_ENGINE",
        "next_build",
        "What fills environments: pixi, the embedded engine, or pixi if it can be had.",
        default="auto",
        choices=("auto", "pixi", "embedded"),
    ),
    Setting(
        "pypi_index",
        "url",
        "UV_DEFAULT_INDEX",
        "next_build",
        "The index that takes the place of https://pypi.org/simple.",
        others=("UV_INDEX_URL", "PIP_INDEX_URL"),
    ),
    Setting(
        "conda_mirror",
        "url",
        "COMFY_ENV_CONDA_MIRROR",
        "next_build",
        "The mirror of the channel conda-forge, such as https://mirror.example/conda-forge.",
    ),
    Setting(
        "pixi_mirror",
        "url",
        "COMFY_ENV_PIXI_MIRROR",
        "next_build",
        "The mirror of the download place of pixi itself.",
    ),
    Setting(
        "torch_mirror",
        "url",
        "COMFY_ENV_TORCH_WHEELS",
        "next_build",
        "The mirror of https://download.pytorch.org/whl.",
    ),
)

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
