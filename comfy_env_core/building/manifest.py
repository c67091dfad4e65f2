"""The pixi.toml of an environment, for both engines and for whoever wants to know what is in it and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from comfy_env_core.building.toml_text import toml_comment, toml_key, toml_value

if TYPE_CHECKING:  # plan.py imports this module
    from comfy_env_core.building.plan import BuildPlan

_OWN_TABLES = ("workspace", "project", "dependencies", "pypi-dependencies", "pypi-options", "activation")

#: What a platform may guarantee, in pixi's words since 0.71. "osx" is an older one for "macos".
_GUARANTEES = ("archspec", "cuda", "glibc", "linux", "macos", "osx", "windows")
#: Those that no machine of a system has, whatever the file says for all platforms.
_ELSEWHERE: Mapping[str, frozenset[str]] = {
    "linux": frozenset(("macos", "windows")),
    "osx": frozenset(("glibc", "linux", "windows", "cuda")),
    "win": frozenset(("glibc", "linux", "macos")),
}

#: Keys of `[workspace]` that would change where the environment lies or describe a project that this is not.
_NOT_OURS = ("name", "channels", "platforms", "pypi-options")

_WHY_OWN_NAMES = "your pixi configuration names mirrors; without this line pixi would ask one more host"
_WHY_GUARANTEED = "the machine that this is for, and what it guarantees"
_WHY_SETTINGS = "with your own package settings (pip, uv, pixi)"


def manifest_text(plan: BuildPlan, *, rich_platforms: bool, own_names: bool = False) -> str:
    """TOML that satisfies pixi's schema; every line that is not the file's own carries a comment that says why.

    `rich_platforms`: write what this machine guarantees (glibc, CUDA, macOS) beside the platform, as pixi wants it
    since 0.71, instead of in `[system-requirements]`. `own_names`: pixi does without a table of PyPI's names.
    May hold credentials of index URLs: keep the file private.
    """
    blocks = [_head(plan), _workspace(plan, rich_platforms=rich_platforms, own_names=own_names)]
    blocks.append(_system_requirements(plan, rich_platforms=rich_platforms))
    blocks.append(_requirements("dependencies", {"python": _conda_python(plan.python), **plan.conda}, plan))
    blocks.append(_requirements("pypi-dependencies", plan.pypi, plan))
    blocks.append(_pypi_options(plan))
    blocks.append(_activation(plan))
    blocks.extend(_passthrough(plan))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(plan: BuildPlan) -> str:
    lines = [f"Made by comfy-env manager from {plan.spec.path}", "Changes here are lost: edit that file."]
    lines += ["", *plan.notes] if plan.notes else []
    schema = plan.passthrough.get("$schema")
    return toml_comment("\n".join(lines)) + (f'\n"$schema" = {toml_value(schema)}' if schema else "")


def _workspace(plan: BuildPlan, *, rich_platforms: bool, own_names: bool) -> str:
    own = {**plan.passthrough.get("project", {}), **plan.passthrough.get("workspace", {})}
    table = {key: value for key, value in own.items() if key not in _NOT_OURS}
    if isinstance(plan.passthrough.get("exclude-newer"), str):
        # A date for all packages belongs here; at the top level pixi expects a table, a date for each package.
        table.setdefault("exclude-newer", plan.passthrough["exclude-newer"])
    guarantees = _guarantees(plan) if rich_platforms else {}
    platform = {"platform": plan.platform.name, **guarantees} if guarantees else plan.platform.name
    channels = [_channel(name, own.get("channels", ())) for name in plan.channels]
    lines = [
        f"name = {toml_value(f'env-{plan.environment_id}')}  # pixi wants one: the id of the environment",
        f"channels = {toml_value(channels)}{'' if own.get('channels') else '  # the file names none'}",
        f"platforms = [{toml_value(platform)}]  # {_WHY_GUARANTEED}",
    ]
    if own_names and "conda-pypi-map" not in table:
        # An empty table says the same to pixi before 0.71, which knows no modes.
        replaced = (
            {channel: {"mapping-mode": "replace"} for channel in plan.channels} if rich_platforms else {}
        )
        lines.append(f"conda-pypi-map = {toml_value(replaced)}  # {_WHY_OWN_NAMES}")
    return _table("workspace", [*lines, *_lines(table)])


def _channel(name: str, listed: Sequence[Any]) -> str | dict[str, Any]:
    """The channel as the file has it, less its priority, which the order says."""
    table = next((entry for entry in listed if isinstance(entry, Mapping) and entry["channel"] == name), {})
    return {"channel": name, "exclude-newer": table["exclude-newer"]} if "exclude-newer" in table else name


def _guarantees(plan: BuildPlan) -> dict[str, Any]:
    """pixi's names of virtual packages → versions. What the file says itself stands, in either of its two places.

    Without them pixi assumes an older machine than this one and refuses wheels that run here.
    """
    found: dict[str, Any] = {}
    if plan.platform.glibc:
        found["glibc"] = plan.platform.glibc
    if plan.platform.macos:
        found["macos"] = plan.platform.macos
    if plan.cuda_version:
        found["cuda"] = plan.cuda_version
    of_file = _guarantees_of_file(plan.passthrough.get("system-requirements", {}))
    everything = {**found, **_guarantees_of_platform(plan), **of_file}
    elsewhere = _ELSEWHERE[plan.platform.name.partition("-")[0]]
    return {name: version for name, version in everything.items() if name not in elsewhere}


def _guarantees_of_platform(plan: BuildPlan) -> dict[str, Any]:
    """What the entry for this platform in `[workspace] platforms` asks for."""
    own = {**plan.passthrough.get("project", {}), **plan.passthrough.get("workspace", {})}
    for entry in own.get("platforms", ()):
        if isinstance(entry, Mapping) and entry.get("platform", entry.get("name")) == plan.platform.name:
            return {{"osx": "macos"}.get(key, key): entry[key] for key in _GUARANTEES if key in entry}
    return {}


def _guarantees_of_file(table: Mapping[str, Any]) -> dict[str, str]:
    """`libc` is the older word for `glibc`, with the family in a table; `unix` adds nothing to the platform."""
    found = {key: str(table[key]) for key in ("archspec", "cuda", "linux", "macos") if key in table}
    libc = table.get("libc")
    if isinstance(libc, Mapping):
        if libc.get("family", "glibc") == "glibc" and "version" in libc:
            found["glibc"] = str(libc["version"])
    elif libc is not None:
        found["glibc"] = str(libc)
    return found


def _system_requirements(plan: BuildPlan, *, rich_platforms: bool) -> str:
    guarantees = {} if rich_platforms else _guarantees(plan)
    if not guarantees:
        return ""
    of_file = {
        **_guarantees_of_platform(plan),
        **_guarantees_of_file(plan.passthrough.get("system-requirements", {})),
    }
    lines = []
    for name, value in guarantees.items():
        if name != "windows":  # nothing older says it
            line = f"{'libc' if name == 'glibc' else name} = {toml_value(_older(value))}"
            lines.append(line if name in of_file else f"{line}  # {_WHY_GUARANTEED}")
    return _table("system-requirements", lines)


def _older(value: Any) -> Any:
    """`cuda = { driver = …, arch = … }` is newer than the table `[system-requirements]`."""
    return value["driver"] if isinstance(value, Mapping) else value


def _conda_python(python: str) -> str:
    """In conda's words: a bare "3.10" would mean the release 3.10.0, and "==" takes no ".*"."""
    if re.fullmatch(r"\d+\.\d+", python):
        return f"{python}.*"
    if re.fullmatch(r"\d+\.\d+\.\d+", python):
        return f"=={python}"
    return re.sub(r"==([\d.]+\.\*)", r"\1", python)


def _requirements(name: str, table: Mapping[str, Any], plan: BuildPlan) -> str:
    lines = []
    for key, value in table.items():
        reason = plan.reasons.get(f"{name}.{key}", "")
        if name == "dependencies" and key == "python" and not plan.python_pinned:
            reason = "the file names none: ComfyUI's own version"
        comment = f"  {toml_comment(reason)}" if reason else ""
        lines.append(f"{toml_key(key)} = {toml_value(value)}{comment}")
    return _table(name, lines)


def _pypi_options(plan: BuildPlan) -> str:
    own = {
        **plan.passthrough.get("project", {}).get("pypi-options", {}),
        **plan.passthrough.get("workspace", {}).get("pypi-options", {}),
        **plan.passthrough.get("pypi-options", {}),
    }
    lines = []
    for key, value in plan.pypi_options.items():
        comment = "" if own.get(key) == value else f"  # {_WHY_SETTINGS}"
        lines.append(f"{toml_key(key)} = {toml_value(value)}{comment}")
    return _table("pypi-options", lines)


def _activation(plan: BuildPlan) -> str:
    """`[env_vars]` in pixi's own place, so that `pixi shell` in this directory sees what the worker sees."""
    own = dict(plan.passthrough.get("activation", {}))
    env = {**own.pop("env", {}), **plan.env_vars}
    # pixi's schema refuses empty values; the worker gets those variables from us all the same.
    env = {key: value for key, value in env.items() if value}
    blocks = [_table("activation", [*_lines(own)]), _table("activation.env", [*_lines(env)])]
    return "\n\n".join(block for block in blocks if block)


def _passthrough(plan: BuildPlan) -> Iterator[str]:
    """Tables of pixi's that we have no opinion on. `[tasks]` and `[package]` too: they do no harm to an install."""
    for name, value in plan.passthrough.items():
        if name in _OWN_TABLES or name == "system-requirements" or not isinstance(value, Mapping):
            continue
        yield _table(name, [*_lines(value)])


def _table(name: str, lines: list[str]) -> str:
    return "\n".join([f"[{name}]", *lines]) if lines else ""


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield f"{toml_key(key)} = {toml_value(value)}"
