"""Nothing that a file says is dropped silently, and what becomes of it satisfies pixi's schema.

What a file says is every leaf of its TOML. Each has to stand in a manifest of one of the platforms, or to be named by a
warning, a note, what was skipped, the prerequisites or the options.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from building.test_building_plan import COMFYUI, GPU, INSTALLED, LINUX, MAC, USES_COMFYUI, USES_NOTHING
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.toml_text import toml_key, toml_value
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import ConfigError, EnvSpec, parse_env

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHARED = Path(__file__).resolve().parents[3] / "shared"
CORPUS = [path for path in sorted((SHARED / "corpus").rglob("*.toml")) if "env-root" not in path.name]
PLATFORMS = (LINUX, MAC, Platform("win-64"))
FILE = Path("/packs/mesh/comfy-env.toml")

needs_shared = pytest.mark.skipif(
    not CORPUS, reason=f"SKIPPED LOUDLY: published files and pixi's schema are not at {SHARED}"
)

Leaf = tuple[tuple[str, ...], Any]  # Any: a plain value of TOML


@functools.cache
def schema() -> jsonschema.Draft7Validator | None:
    path = SHARED / "pixi" / "schema.json"
    return jsonschema.Draft7Validator(json.loads(path.read_text())) if path.exists() else None


def complaints(manifest: str) -> list[str]:
    """What pixi's schema has against it; nothing where the schema is not there."""
    validator = schema()
    return (
        [error.message[:300] for error in validator.iter_errors(tomllib.loads(manifest))] if validator else []
    )


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def plans(spec: EnvSpec, *, with_gpu: bool) -> list[BuildPlan]:
    made = []
    for platform in PLATFORMS:
        cuda = GPU if with_gpu and platform is not MAC else None
        host = HostPython("3.11", Path("/p"), Path("/p"), INSTALLED["torch"], INSTALLED, cuda)
        made.append(
            plan_build(
                spec,
                platform=platform,
                host=host,
                host_use=USES_COMFYUI if with_gpu else USES_NOTHING,
                comfyui_requirements=COMFYUI,
                settings=UserSettings(),
            )
        )
    return made


def said(spec: EnvSpec, made: list[BuildPlan]) -> list[str]:
    """Every line in which something of the file can be found again."""
    lines = [line for plan in made for line in plan.manifest().splitlines()]
    lines += [note for plan in made for note in (*plan.notes, *plan.skipped)]
    lines += [f"{warning.key} {warning.problem} {warning.remedy}" for warning in spec.warnings]
    return [*lines, str(spec.prerequisites), f"host in_host {spec.options}"]


def silent(source: bytes, spec: EnvSpec, made: list[BuildPlan]) -> list[Leaf]:
    """The leaves of the file that no line tells of."""
    lines = said(spec, made)
    without_effect = [
        warning.key for warning in spec.warnings if warning.key and "no effect" in warning.problem
    ]
    missing = []
    for path, value in leaves(tomllib.loads(source.decode("utf-8-sig").replace("\r\n", "\n"))):
        dotted = ".".join(path)
        if any(dotted == key or dotted.startswith(f"{key}.") for key in without_effect):
            continue
        words = parts(path, value)
        if not any(all(word in line for word in words) for line in lines):
            missing.append((path, value))
    return missing


def parts(path: tuple[str, ...], value: Any) -> list[str]:
    """The words that tell of a leaf, wherever it went: of a requirement line, the name and the range."""
    if path[-2:] == ("channels", "priority"):
        return []  # the order tells it
    if path[-2:-1] == ("libc",):
        return [str(value)]
    if path[-1].startswith("pytorch"):
        return ["torch", str(value)]
    if path[-1] == "unix":
        return ["unix", str(value)]
    if isinstance(value, bool):
        return [path[-1], str(value).lower()]
    if not isinstance(value, str):
        return [path[-1], str(value)]
    if "cuda" in path and path[-1] != "packages" and value == "*":
        return [path[-1]]
    if path[-1] in ("requirements", "no_deps", "packages", "linux", "darwin", "windows"):
        return [
            word
            for word in re.split(r"[\s\[\];@()]+|git\+|(?<=[A-Za-z0-9])(?=[<>=!~])", value.partition(";")[0])
            if word
        ][:2]
    if path[-1] in ("path", "scripts", "cwd", "license-file", "readme", "build-variants-files", "location"):
        return [value.lstrip("~./")]
    if path[-1] in ("wheel_sources", "index_urls", "channels", "platforms", "platform", "channel"):
        return [value]
    if path[-1] == "python":
        return ["python", value.strip("=.* ")[:4]]
    return [path[-1], json.dumps(value, ensure_ascii=False)[1:-1] if '"' not in value else value[:3]]


def assert_everything_is_said(source: bytes, path: Path) -> None:
    spec = parse_env(source, path)
    for with_gpu in (True, False):
        made = plans(spec, with_gpu=with_gpu)
        missing = silent(source, spec, made)
        assert not missing, f"nothing tells of {missing}"
        for plan in made:
            for rich in (True, False):
                manifest = plan.manifest(rich_platforms=rich)
                assert complaints(manifest) == [], manifest


@needs_shared
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.relative_to(SHARED / "corpus").as_posix())
def test_every_leaf_of_a_published_file_is_found_again(path: Path) -> None:
    try:
        assert_everything_is_said(path.read_bytes(), path)
    except (ConfigError, BuildError) as error:
        assert str(path) in str(error)


FULL = """
"$schema" = "https://pixi.sh/v0.77.0/schema/manifest/schema.json"
python = ">=3.10,<3.12"
exclude-newer = "2025-06-01"
pypi-exclude-newer = { numpy = "7d" }
name = "somebody's"

[dependencies]
av = { version = ">=13", build = "cpu_*", build-number = ">=2", channel = "conda-forge" }
[build-dependencies]
cmake = "*"
[host-dependencies]
eigen = "3.4.*"
[constraints]
openssl = "<4"
[pypi-dependencies]
numpy = ">=1.26,<3"
lib = { path = "./lib", editable = true }
wheel-of-mine = { path = "../wheels/mine-1-py3-none-any.whl" }
lpips = { git = "https://host/lpips", branch = "main", subdirectory = "sub" }
mine = { version = ">=1", index = "https://host/simple", extras = ["all"] }
[pypi-options]
extra-index-urls = ["https://host/extra"]
find-links = [{ path = "wheels" }, { url = "https://host/links" }]
no-build = ["numpy"]
no-build-isolation = ["lpips"]
index-strategy = "unsafe-best-match"
dependency-overrides = { pillow = ">=10" }
[env_vars]
A = "1"
EMPTY = ""
[activation]
scripts = ["setup.sh"]
env = { B = "2" }
[workspace]
name = "mesh"
version = "1.0"
description = "Meshes"
authors = ["Somebody"]
license-file = "LICENSE"
readme = "README.md"
channels = ["conda-forge", { channel = "https://host/channel", priority = 3, exclude-newer = "2025-01-01" }]
platforms = ["linux-64", { platform = "win-64", cuda = "12.4", archspec = "x86_64_v4" }, "osx-arm64"]
channel-priority = "flexible"
solve-strategy = "highest"
requires-pixi = ">=0.60"
preview = ["pixi-build"]
conda-pypi-map = { conda-forge = "map.json" }
[workspace.build-variants]
python = ["3.11.*"]
[system-requirements]
linux = "5.4"
macos = 13
libc = { family = "glibc", version = "2.31" }
unix = true
[target.linux-64.dependencies]
mesalib = "*"
[target.unix.pypi-dependencies]
uvloop = "*"
[target.win-64.pypi-dependencies]
triton-windows = ">=3.5"
[target.osx.activation]
env = { C = "3" }
[tasks]
hello = "echo hello"
go = { cmd = ["python", "-V"], cwd = "scripts", env = { D = "4" }, depends-on = ["hello"] }
[tool.mine]
odd = [1, 2.5, true, 2025-06-01]
[dev]
self = { path = "." }
[options]
host = "torch"
in_host = ["loaders"]
health_check_timeout = 30
[package]
name = "mesh"
"""


def test_every_key_that_pixi_knows_is_found_again() -> None:
    assert_everything_is_said(FULL.encode(), FILE)


def names(*some: str) -> st.SearchStrategy[str]:
    return st.sampled_from(some)


RANGE = names("*", ">=1.2", ">=1,<2", "==2.*", "~=3.1", "1.2", "^1", "")
REQUIREMENT = RANGE | st.fixed_dictionaries(
    {},
    optional={
        "version": RANGE,
        "extras": st.lists(names("easy", "all"), max_size=2),
        "index": names("https://host/simple", ""),
        "path": names("./lib", "/abs/lib", "~/lib"),
        "git": names("https://host/x.git"),
        "rev": names("abc"),
        "url": names("https://host/x-1-py3-none-any.whl"),
        "channel": names("conda-forge", "mine"),
        "build": names("py311_0"),
        "editable": st.booleans(),
    },
)
PACKAGES = st.dictionaries(
    names("numpy", "Pillow", "open_clip-torch", "torch", "x y", "a[b]"), REQUIREMENT, max_size=3
)
LINES = st.lists(
    names(
        "numpy>=1.2",
        "trimesh[easy]",
        "a @ git+https://h/a@v1",
        "b; sys_platform == 'win32'",
        "-r x.txt",
        "c==1.*",
    ),
    max_size=4,
)
PLAIN = names("x", "3.11", "auto", "12.4", "") | st.integers(0, 20) | st.booleans() | st.floats(0, 20)
CUDA = (
    st.fixed_dictionaries(
        {"packages": st.lists(names("flash-attn", "gsplat==1", "torch", "-x"), max_size=3) | PLAIN}
    )
    | st.dictionaries(names("gsplat", "drtk", "version"), PLAIN, max_size=2)
    | LINES
)
TARGET = st.fixed_dictionaries({}, optional={"dependencies": PACKAGES, "pypi-dependencies": PACKAGES})
NAMED = st.fixed_dictionaries(
    {"python": names("3.11", "3.10")},
    optional={
        "cuda": CUDA,
        "cuda_version": PLAIN,
        "pytorch_version": PLAIN,
        "isolated": st.booleans(),
        "packages": st.fixed_dictionaries(
            {}, optional={"requirements": LINES, "linux": LINES, "no_deps": LINES}
        ),
        "conda": st.fixed_dictionaries({"packages": st.lists(names("cgal>=5", "ffmpeg"))}),
        "env_vars": st.dictionaries(names("A"), PLAIN),
        "odd": PLAIN,
    },
)
TABLES: Mapping[str, st.SearchStrategy[Any]] = {
    "python": names("3.10", "3.11.*", ">=3.10,<3.12", "==3.12", "*"),
    "dependencies": PACKAGES,
    "host-dependencies": PACKAGES,
    "constraints": PACKAGES,
    "pypi-dependencies": PACKAGES,
    "cuda": CUDA,
    "env_vars": st.dictionaries(names("A", "B_C", "D=E"), PLAIN, max_size=2),
    "target": st.dictionaries(names("linux-64", "win-64", "osx", "windows"), TARGET, max_size=2),
    "system-requirements": st.dictionaries(
        names("cuda", "libc", "macos", "linux", "unix"), PLAIN, max_size=2
    ),
    "workspace": st.dictionaries(
        names("channels", "platforms", "name", "version", "odd"), PLAIN | LINES, max_size=2
    ),
    "pypi-options": st.dictionaries(names("index-url", "find-links", "no-build"), PLAIN | LINES, max_size=2),
    "tasks": st.dictionaries(names("go", "a b"), PLAIN, max_size=2),
    "options": st.dictionaries(names("host", "in_host", "timeout"), PLAIN | LINES, max_size=2),
    "mocap": NAMED,
    "other": NAMED,
    "env": NAMED,
    "packages": st.fixed_dictionaries({"requirements": LINES}),
    "sources": st.dictionaries(names("index_urls", "wheel_sources", "x"), LINES, max_size=2),
    "local": st.fixed_dictionaries(
        {}, optional={"cuda": CUDA, "packages": st.fixed_dictionaries({"requirements": LINES})}
    ),
    "system": st.dictionaries(names("linux", "darwin", "windows"), LINES, max_size=2),
    "apt": st.fixed_dictionaries({"packages": st.lists(names("libgl1", "-x"))}),
    "node_packs": st.dictionaries(names("KJ"), names("a/b", "c")),
    "types": st.dictionaries(names("MESH"), names("custom", "builtin")),
    "strange": PLAIN | PACKAGES,
}
FILES = st.lists(names(*TABLES), unique=True, max_size=5).flatmap(
    lambda chosen: st.fixed_dictionaries({name: TABLES[name] for name in chosen})
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES)
def test_every_leaf_of_a_file_that_somebody_might_write_is_found_again(tables: Mapping[str, Any]) -> None:
    text = "".join(f"{toml_key(name)} = {toml_value(value)}\n" for name, value in tables.items())
    try:
        assert_everything_is_said(text.encode(), FILE)
    except ConfigError as error:
        assert error.line is not None
        assert error.problem
        assert error.remedy
    except BuildError as error:
        assert error.remedy
