"""pixi's PyPI tables in uv's words."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from building.engines.samples import make_plan

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from comfy_env_core.building.engines.pylock import pylock_text, read_pylock
from comfy_env_core.building.engines.uv_project import UvProject, uv_project
from comfy_env_core.building.errors import BuildCause, BuildError


def project_of(tmp_path: Path, pypi: str, options: str = "") -> UvProject:
    head = f"[pypi-options]\n{options}\n" if options else ""
    return uv_project(make_plan(tmp_path, f'python = "3.10"\n{head}[pypi-dependencies]\n{pypi}\n'), added={})


def parsed(project: UvProject) -> dict[str, Any]:
    return tomllib.loads(project.pyproject("00000001", "3.10.13"))


def test_a_requirement_with_two_places_is_refused(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, 'python = "3.10"\n')
    pypi = {"a": {"git": "https://h/a", "path": "../a"}}
    with pytest.raises(BuildError) as raised:
        uv_project(plan, added=pypi)
    assert raised.value.cause is BuildCause.CONFIG
    assert "'a'" in str(raised.value)


def test_versions_extras_and_any(tmp_path: Path) -> None:
    pypi = 'a = "*"\nb = ">=1,<2"\nc = { version = "==1.5", extras = ["x", "y"] }\n'
    pypi += 'd = { version = "*", extras = ["z"] }'
    dependencies = parsed(project_of(tmp_path, pypi))["project"]["dependencies"]
    assert dependencies[:4] == ["a", "b>=1,<2", "c[x,y]==1.5", "d[z]"]
    assert dependencies[4].startswith("msgpack")
    assert parsed(project_of(tmp_path, pypi))["project"]["requires-python"] == "==3.10.*"


def test_an_index_of_its_own_is_explicit_and_shared_by_those_who_name_it(tmp_path: Path) -> None:
    pypi = (
        'a = { version = "*", index = "https://i/simple" }\nb = { version = "*", index = "https://i/simple" }'
    )
    uv = parsed(project_of(tmp_path, pypi))["tool"]["uv"]
    assert uv["index"] == [{"name": "pixi-index-0", "url": "https://i/simple", "explicit": True}]
    assert uv["sources"] == {"a": {"index": "pixi-index-0"}, "b": {"index": "pixi-index-0"}}


def test_git_url_and_path_become_sources_relative_to_the_file(tmp_path: Path) -> None:
    pypi = (
        'g = { git = "https://h/g.git", rev = "abc", subdirectory = "sub", extras = ["x"] }\n'
        'u = { url = "https://h/u-1-py3-none-any.whl" }\np = { path = "./p", editable = true }'
    )
    document = parsed(project_of(tmp_path, pypi))
    assert document["project"]["dependencies"][:3] == [
        "g[x]",
        "u @ https://h/u-1-py3-none-any.whl",
        "p",
    ]
    assert document["tool"]["uv"]["sources"] == {
        "g": {"git": "https://h/g.git", "rev": "abc", "subdirectory": "sub"},
        "p": {"path": str(tmp_path / "p"), "editable": True},
    }


def test_options_become_arguments_and_urls_become_variables(tmp_path: Path) -> None:
    options = (
        'index-url = "https://u:p@main/simple"\nextra-index-urls = ["https://a/simple", "https://b/simple"]\n'
        'find-links = [{ path = "links" }, { url = "https://l/" }]\nno-build = ["X_y"]\nno-binary = true\n'
        'no-build-isolation = ["z"]\nprerelease-mode = "allow"\nindex-strategy = "unsafe-best-match"\n'
        'dependency-overrides = { numpy = ">=2", q = { git = "https://h/q", tag = "v1" } }'
    )
    project = project_of(tmp_path, 'a = "*"', options)
    assert project.environment == {
        "UV_DEFAULT_INDEX": "https://u:p@main/simple",
        "UV_INDEX": "https://a/simple https://b/simple",
        "UV_FIND_LINKS": f"{tmp_path / 'links'},https://l/",
    }
    assert project.options == (
        *("--only-binary", "x-y", "--no-binary", ":all:", "--no-build-isolation-package", "z"),
    )
    assert project.resolver_options == (*("--prerelease", "allow", "--index-strategy", "unsafe-best-match"),)
    assert project.overrides == ("numpy>=2", "q @ git+https://h/q@v1")
    assert "u:p" not in project.pyproject("00000001", "3.10.1")


def test_a_lock_learns_where_its_packages_came_from_and_stays_valid(tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    end = "-py3-none-any.whl"
    digest = 'hashes = { sha256 = "00" } }'
    lock.write_text(
        'lock-version = "1.0"\ncreated-by = "uv"\n\n'
        f'[[packages]]\nname = "a"\nversion = "1"\nwheels = [{{ url = "https://files/a-1{end}", {digest}]\n\n'
        f'[[packages]]\nname = "b"\nversion = "2"\nsdist = {{ url = "https://extra/b-2.tar.gz", {digest}\n\n'
        f'[[packages]]\nname = "c"\nversion = "3"\nwheels = [{{ url = "file:///l/c-3{end}", {digest}]\n\n'
        f'[[packages]]\nname = "d"\nversion = "4"\narchive = {{ url = "https://h/d-4-py3-none-any.whl", {digest}\n'
    )
    options = 'index-url = "https://u:p@main/simple"\nextra-index-urls = ["https://extra/simple"]'
    project = project_of(tmp_path, 'a = "*"', options)
    packages = [
        dataclasses.replace(package, index=project.index_of(package)) for package in read_pylock(lock)
    ]
    assert [package.index for package in packages] == [
        "https://main/simple",
        "https://extra/simple",
        None,
        None,
    ]
    assert [package.must_be_built for package in packages] == [False, True, False, False]
    lock.write_text(pylock_text(packages))
    assert list(read_pylock(lock)) == packages
