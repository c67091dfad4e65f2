"""What may stand in [apt], [brew] and [node_reqs], and what never reaches a command line or a path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_env_core.config import ConfigError, GitSource, RefKind, RegistrySource, RootSpec, parse_root

Reader = Callable[[str], RootSpec]
Refused = Callable[[str], ConfigError]
URL = "https://github.com/owner/Repo.x"


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ('"owner/Repo.x"', GitSource(URL)),
        ('"github.com/owner/Repo.x"', GitSource(URL)),
        ('"https://github.com/owner/Repo.x.git"', GitSource(URL)),
        ('"https://github.com/owner/Repo.x/"', GitSource(URL)),
        ('"https://codeberg.org/owner/repo.git"', GitSource("https://codeberg.org/owner/repo")),
        ('{ github = "owner/Repo.x" }', GitSource(URL)),
        ('{ github = "owner/Repo.x", tag = "v1.0+a" }', GitSource(URL, RefKind.TAG, "v1.0+a")),
        ('{ github = "owner/Repo.x", branch = "feat/x-y" }', GitSource(URL, RefKind.BRANCH, "feat/x-y")),
        (
            '{ github = "owner/Repo.x", commit = "abc123DEF456" }',
            GitSource(URL, RefKind.COMMIT, "abc123def456"),
        ),
        ('{ registry = "comfyui_essentials" }', RegistrySource("comfyui_essentials")),
        ('{ registry = "a.b-c", version = "1.0.0" }', RegistrySource("a.b-c", "1.0.0")),
        ('{ registry = "a", version = "latest" }', RegistrySource("a")),
    ],
)
def test_every_way_to_name_a_pack_is_read(
    root: Reader, written: str, source: GitSource | RegistrySource
) -> None:
    (requirement,) = root(f"[node_reqs]\nPack = {written}").prerequisites.node_reqs
    assert (requirement.directory, requirement.source) == ("Pack", source)


@pytest.mark.parametrize(
    "written",
    [
        '"owner"',
        '"--upload-pack=x/y"',
        '"-owner/repo"',
        '"owner/.."',
        '"owner/repo/extra"',
        '"owner/repo name"',
        '"http://github.com/owner/repo"',
        '"ssh://git@github.com/owner/repo"',
        '"git@github.com:owner/repo"',
        '"file:///etc"',
        '"ext::sh -c id"',
        '"https://user:secret@host.org/owner/repo"',
        '"https://host.org/owner/repo?x=1"',
        '"https://host.org/../repo"',
        '"https://-host/owner/repo"',
        '"../../elsewhere"',
        '{ github = "owner/repo", tag = "--exec=x" }',
        '{ github = "owner/repo", tag = "a..b" }',
        '{ github = "owner/repo", branch = "a b" }',
        '{ github = "owner/repo", branch = "x.lock" }',
        '{ github = "owner/repo", branch = "a/.b" }',
        '{ github = "owner/repo", commit = "HEAD" }',
        '{ github = "owner/repo", commit = "abc" }',
        '{ github = "owner/repo", tag = "v1", branch = "main" }',
        '{ github = "owner/repo", revision = "v1" }',
        '{ github = "owner/repo", registry = "x" }',
        '{ registry = "../x" }',
        '{ registry = "x", version = "1.0.0&a=b" }',
        '{ registry = "x", tag = "v1" }',
        '{ path = "/etc" }',
        "1",
        '""',
    ],
)
def test_what_is_no_source_is_refused_with_its_line_and_a_remedy(root_error: Refused, written: str) -> None:
    error = root_error(f"[node_reqs]\n\nPack = {written}")
    assert error.line == 3
    assert error.key is not None
    assert error.key.startswith("node_reqs.Pack")
    assert error.remedy


_NO_NAMES = (
    *("", ".", "..", ".hidden", "-x", "a/b", "a\\\\b", "/abs", "C:x", "nul", "COM1.x"),
    *("end.", "end ", "x.disabled", "a\\u0000"),
)


@pytest.mark.parametrize("name", _NO_NAMES)
def test_name_that_is_no_directory_of_custom_nodes_is_refused(root_error: Refused, name: str) -> None:
    error = root_error(f'[node_reqs]\n"{name}" = "owner/repo"')
    assert error.line is not None
    assert "custom_nodes" in error.problem


@pytest.mark.parametrize("name", ["libgl1", "g++", "libstdc++6", "python3-dev", "libgl1:amd64", "libgtk-3-0"])
def test_names_of_debian_packages_are_accepted_each_once(root: Reader, name: str) -> None:
    assert root(f'[apt]\npackages = ["{name}", "{name}"]').prerequisites.apt == (name,)


@pytest.mark.parametrize("name", ["ffmpeg", "python@3.11", "owner/tap/formula", "gtk+3"])
def test_names_of_formulae_are_accepted(root: Reader, name: str) -> None:
    assert root(f'[brew]\npackages = ["{name}"]').prerequisites.brew == (name,)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("apt", "libgl1-"),  # apt would remove it
        ("apt", "libgl1=1.0"),
        ("apt", "lib*"),
        ("apt", "task^"),
        ("apt", "libgl1/unstable"),
        ("apt", "./local.deb"),
        ("apt", "-y"),
        ("apt", "LibGL"),
        ("brew", "--HEAD"),
        ("brew", "./formula.rb"),
        ("brew", "https://host/formula.rb"),
        ("brew", "-a/b/c"),
    ],
)
def test_what_would_be_more_than_a_name_is_refused(root_error: Refused, section: str, name: str) -> None:
    error = root_error(f'[{section}]\npackages = ["fine",\n"{name}"]')
    assert error.key == f"{section}.packages"
    assert repr(name) in error.problem


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"(https://|git@|-)?[\w.:/@?#-]{1,30}/[\w.:/@?#-]{1,30}", fullmatch=True),
    ),
    st.sampled_from(["tag", "branch", "commit", "version"]),
    st.text(max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_no_option_path_or_other_scheme_comes_out(place: str, key: str, ref: str) -> None:
    where = "registry" if key == "version" else "github"
    text = f"[node_reqs]\nP = {{ {where} = {json.dumps(place)}, {key} = {json.dumps(ref)} }}\n"
    try:
        spec = parse_root(text.encode("utf-8", "surrogatepass"), Path("comfy-env-root.toml"))
    except ConfigError:
        return
    (requirement,) = spec.prerequisites.node_reqs
    source = requirement.source
    if isinstance(source, RegistrySource):
        assert re.fullmatch(r"[a-zA-Z][\w.-]*", source.node_id, re.ASCII)
    else:
        assert source.url.startswith("https://")
        assert not re.search(r"[\s?#@=]|/\.\.?(/|$)", source.url)
        assert source.ref is None or re.match(r"[a-zA-Z0-9_]", source.ref, re.ASCII)
        assert not re.search(r"[\s:^*?\[\\~]|\.\.", source.ref or "")
