"""What pixi's PyPI tables say, in the words of uv: a `pyproject.toml`, options and environment variables.

Requirements, per-package indexes, git, URL and path sources go into the file; what uv reads from user configuration
only (strategies, overrides, builds) becomes options, because `UV_NO_CONFIG` switches that reading off; index URLs
become variables, because they may hold credentials and the file stays in the workspace.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from comfy_env_core.building.engines.exclude_newer import newest_moment
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.locks.model import PypiPackage
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.toml_text import toml_key, toml_string, toml_value
from comfy_env_core.building.user_settings import DEFAULT_INDEX_URL, without_credentials
from comfy_env_core.config import Requirement

_SOURCE_KEYS = ("git", "url", "path")
_GIT_KEYS = ("branch", "tag", "rev", "subdirectory", "lfs")
_PIXI_INDEX = "pixi-index-"


@dataclasses.dataclass(frozen=True)
class Line:
    """One requirement. `text` is PEP 508; `source` uv's table (index left out), `index` the URL it is pinned to."""

    name: str
    text: str
    range: str
    source: Mapping[str, Any]  # Any: values of uv's source table
    index: str | None = None

    @property
    def is_from_index(self) -> bool:
        return not self.source


@dataclasses.dataclass(frozen=True)
class UvProject:
    """Everything uv is told about one plan. `options` go to `uv pip compile` and `uv pip install` alike,
    `resolver_options` to the former only."""

    lines: tuple[Line, ...]
    options: tuple[str, ...]
    resolver_options: tuple[str, ...]
    environment: Mapping[str, str]
    overrides: tuple[str, ...]

    def pyproject(
        self, environment_id: str, python_version: str, lines: tuple[Line, ...] | None = None
    ) -> str:
        """The project file; with `lines`, for these alone (to ask which of them cannot be met)."""
        lines = self.lines if lines is None else lines
        minor = ".".join(python_version.split(".")[:2])
        indexes = list(dict.fromkeys(line.index for line in lines if line.index))
        # uv refuses a checksum in its own table, and verifies one in a plain requirement.
        texts = (_direct(line) if "url" in line.source else line.text for line in lines)
        dependencies = "".join(f"    {toml_string(text)},\n" for text in texts)
        head = f'[project]\nname = "env-{environment_id}"\nversion = "0"\nrequires-python = "=={minor}.*"\n'
        blocks = [f"{head}dependencies = [\n{dependencies}]"]
        blocks += [
            f'[[tool.uv.index]]\nname = "{_PIXI_INDEX}{number}"\nurl = {toml_string(url)}\nexplicit = true'
            for number, url in enumerate(indexes)
        ]
        sources = {}
        for line in lines:
            table = (
                {"index": f"{_PIXI_INDEX}{indexes.index(line.index)}"} if line.index else dict(line.source)
            )
            if table and "url" not in table:
                sources[line.name] = table
        if sources:
            rows = "\n".join(f"{toml_key(name)} = {toml_value(table)}" for name, table in sources.items())
            blocks.append(f"[tool.uv.sources]\n{rows}")
        return "\n\n".join(blocks) + "\n"

    def without(self, names: Collection[str]) -> UvProject:
        """The project without the index requirements on these (normalised) names."""
        kept = tuple(ln for ln in self.lines if not (ln.is_from_index and normalised_name(ln.name) in names))
        return dataclasses.replace(self, lines=kept)

    def index_of(self, package: PypiPackage) -> str | None:
        """The index that a package came from, without credentials; None for local files and other sources.

        A package that needs no index of its own comes from the extra index on the same host, or else from the main one.
        """
        parts = urlsplit(package.files[0].url if package.files else "")
        if parts.scheme not in ("http", "https"):
            return None
        own = {normalised_name(line.name): line.index for line in self.lines if line.index}
        extra = self.environment.get("UV_INDEX", "").split()
        main = self.environment.get("UV_DEFAULT_INDEX") or DEFAULT_INDEX_URL
        near = next((index for index in extra if urlsplit(index).hostname == parts.hostname), main)
        return without_credentials(own.get(package.name) or near)


def uv_project(plan: BuildPlan, *, added: Mapping[str, Requirement]) -> UvProject:
    """The plan's PyPI side; `added` are further requirements (conda ones that PyPI serves as well).

    Raises BuildError(CONFIG) for a requirement that uv has no words for.
    """
    base = plan.spec.path.parent
    options = plan.pypi_options
    overrides = options.get("dependency-overrides", {})
    lines = tuple(_line(name, requirement, base) for name, requirement in {**added, **plan.pypi}.items())
    return UvProject(
        lines=lines,
        options=tuple(_build_options(options)),
        resolver_options=tuple(_resolver_options(plan)),
        environment=_environment(options, base),
        overrides=tuple(_direct(_line(name, requirement, base)) for name, requirement in overrides.items()),
    )


def as_pypi(requirement: Requirement) -> str:
    """conda's range for pip, setuptools or wheel as PyPI writes it: "60.*" is "==60.*" there."""
    text = requirement if isinstance(requirement, str) else str(requirement.get("version", "*"))
    text = text.strip()
    if text.startswith("=") and not text.startswith("=="):
        return f"=={text[1:]}.*"
    return text if text in ("*", "") or text[0] in "<>=!~" else f"=={text}"


def _line(name: str, requirement: Requirement, base: Path) -> Line:
    table: Mapping[str, Any] = {"version": requirement} if isinstance(requirement, str) else requirement
    extras = f"[{','.join(table['extras'])}]" if table.get("extras") else ""
    marker = table.get("env-markers") or table.get("markers")
    suffix = f" ; {marker}" if marker else ""
    kinds = [key for key in _SOURCE_KEYS if key in table]
    if len(kinds) > 1:
        raise BuildError(
            BuildCause.CONFIG,
            f"The requirement {name!r} names {' and '.join(kinds)}; it can have one of them.",
            "Keep one under [pypi-dependencies].",
        )
    if kinds:
        return Line(name, f"{name}{extras}{suffix}", "*", _source(kinds[0], table, base))
    version = _specifier(str(table.get("version", "*")))
    return Line(name, f"{name}{extras}{version}{suffix}", version or "*", {}, table.get("index"))


def _specifier(text: str) -> str:
    """PEP 440 for a range of the file: "*" says nothing, a bare version means exactly that one."""
    text = text.strip()
    if text in ("*", ""):
        return ""
    return text if text[0] in "<>=!~" else f"=={text}"


def _source(kind: str, table: Mapping[str, Any], base: Path) -> dict[str, Any]:
    if kind == "git":
        git = str(table["git"]).removeprefix("git+")
        return {"git": git, **{key: table[key] for key in _GIT_KEYS if key in table}}
    if kind == "url":
        keys = ("url", "subdirectory")
        return {key: table[key] for key in keys if key in table}
    path = (base / Path(str(table["path"])).expanduser() / str(table.get("subdirectory", ""))).absolute()
    return {"path": str(path), **({"editable": table["editable"]} if "editable" in table else {})}


def _direct(line: Line) -> str:
    """The line as plain PEP 508, where no source table can stand beside it."""
    name, _, rest = line.text.partition(" ; ")
    marker = f" ; {rest}" if rest else ""
    if "git" in line.source:
        revision = next(
            (f"@{line.source[key]}" for key in ("rev", "tag", "branch") if key in line.source), ""
        )
        folder = f"#subdirectory={line.source['subdirectory']}" if "subdirectory" in line.source else ""
        return f"{name} @ git+{line.source['git']}{revision}{folder}{marker}"
    if "url" in line.source:
        url, inside = str(line.source["url"]), line.source.get("subdirectory")
        folder = f"{'&' if '#' in url else '#'}subdirectory={inside}" if inside else ""
        return f"{name} @ {url}{folder}{marker}"
    if "path" in line.source:
        return f"{name} @ {Path(line.source['path']).as_uri()}{marker}"
    return line.text


def _build_options(options: Mapping[str, Any]) -> Iterator[str]:
    """What pixi's `[pypi-options]` say of wheels and builds. A list means these packages, True means all."""
    for key, option, every in (
        ("no-build", "--only-binary", ("--only-binary", ":all:")),
        ("no-binary", "--no-binary", ("--no-binary", ":all:")),
        ("no-build-isolation", "--no-build-isolation-package", ("--no-build-isolation",)),
    ):
        value = options.get(key)
        if value is True:
            yield from every
        elif isinstance(value, list):
            for name in value:
                yield from (option, normalised_name(str(name)))


def _resolver_options(plan: BuildPlan) -> Iterator[str]:
    options = plan.pypi_options
    if options.get("prerelease-mode"):
        yield from ("--prerelease", str(options["prerelease-mode"]))
    if options.get("index-strategy"):
        yield from ("--index-strategy", str(options["index-strategy"]))
    newest = newest_moment(plan)
    if newest is not None:
        yield from ("--exclude-newer", newest.isoformat().replace("+00:00", "Z"))
    of_packages = plan.passthrough.get("pypi-exclude-newer", {})
    for name, moment in of_packages.items():
        yield from ("--exclude-newer-package", f"{normalised_name(name)}={moment}")


def _environment(options: Mapping[str, Any], base: Path) -> dict[str, str]:
    places = []
    for link in options.get("find-links", ()):
        place = link if isinstance(link, str) else link.get("url") or str((base / link["path"]).absolute())
        places.append(str(place))
    variables = {
        "UV_DEFAULT_INDEX": str(options.get("index-url", "")),
        "UV_INDEX": " ".join(options.get("extra-index-urls", ())),
        "UV_FIND_LINKS": ",".join(places),
        "UV_SKIP_WHEEL_FILENAME_CHECK": "1" if options.get("skip-wheel-filename-check") else "",
    }
    return {name: value for name, value in variables.items() if value}
