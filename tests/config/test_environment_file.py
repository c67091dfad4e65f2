"""What a good comfy-env.toml becomes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comfy_env_core.config import EnvSpec, HostNeed

Reader = Callable[[str], EnvSpec]

FULL = """
python = "3.10"

[dependencies]
c-compiler = "*"
bpy = { version = "*", channel = "pozzettiandrea" }

[pypi-dependencies]
numpy = ">=1.24,<2"
trimesh = { version = "*", extras = ["easy"] }
lpips = { git = "https://example.org/lpips.git", rev = "abc" }
wheel = { url = "https://example.org/wheel-1-py3-none-any.whl" }

[cuda]
packages = ["flash-attn", "torch_scatter"]

[env_vars]
OMP_NUM_THREADS = 1
KMP_DUPLICATE_LIB_OK = "TRUE"

[options]
host = "torch"
in_host = ["loaders"]

[workspace]
channels = ["conda-forge", { channel = "pozzettiandrea", priority = 1 }]

[target.linux-64.pypi-dependencies]
triton = ">=3.0.0"

[system-requirements]
libc = "2.28"
"""


def test_every_section_arrives(env: Reader) -> None:
    spec = env(FULL)
    assert spec.python == "3.10"
    assert spec.dependencies["bpy"] == {"version": "*", "channel": "pozzettiandrea"}
    assert list(spec.pypi_dependencies) == ["numpy", "trimesh", "lpips", "wheel"]
    assert spec.cuda_packages == ("flash-attn", "torch_scatter")
    assert spec.env_vars == {"OMP_NUM_THREADS": "1", "KMP_DUPLICATE_LIB_OK": "TRUE"}
    assert spec.options.host is HostNeed.TORCH
    assert spec.options.in_host == ("loaders",)
    assert list(spec.passthrough) == ["workspace", "target", "system-requirements"]
    assert spec.source == FULL.encode()
    assert spec.warnings == ()
    assert spec.unknown == ()


def test_an_empty_file_is_an_environment_with_nothing_in_it(env: Reader) -> None:
    spec = env("# nothing\n")
    assert spec.python is None
    assert not (spec.dependencies or spec.pypi_dependencies or spec.cuda_packages or spec.passthrough)
    assert spec.options.host is HostNeed.AUTO


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("3.10", "3.10"),
        (" 3.10 ", "3.10"),
        ("3.10.*", "3.10"),
        ("==3.10.*", "3.10"),
        ("==3.10", "3.10"),
        ("=3.10", "3.10"),
        ("3.10.13", "3.10.13"),
        ("==3.10.13", "3.10.13"),
        (">=3.10,<3.12", ">=3.10,<3.12"),
        (">= 3.10, < 3.12", ">=3.10,<3.12"),
        (">=3.10.*", ">=3.10"),
        ("~=3.11", "~=3.11"),
        (">=3.10,!=3.11.*", ">=3.10,!=3.11.*"),
        ("3.*", "3.*"),
        ("*", None),
    ],
)
def test_python_is_normalised_or_kept_as_a_range(env: Reader, written: str, read: str | None) -> None:
    assert env(f'python = "{written}"').python == read


def test_python_among_the_conda_packages_is_the_python_asked_for(env: Reader) -> None:
    spec = env('[dependencies]\npython = "3.11.*"\nav = "*"\n')
    assert spec.python == "3.11"
    assert list(spec.dependencies) == ["av"]


def test_python_may_stand_in_both_places_if_they_say_the_same(env: Reader) -> None:
    assert env('python = "3.11"\n[dependencies]\npython = "3.11.*"\n').python == "3.11"


def test_byte_order_mark_and_windows_line_ends_are_read_like_any_others(env: Reader) -> None:
    spec = env('\ufeffpython = "3.11"\r\n\r\n[cuda]\r\npackages = [\r\n  "x",\r\n]\r\n')
    assert spec.python == "3.11"
    assert spec.cuda_packages == ("x",)


def test_unknown_keys_are_kept_and_warned_of(env: Reader) -> None:
    spec = env('name = "my-pack"\npython = "3.11"\n[tasks]\nhello = "echo hello"\n')
    assert spec.passthrough == {"name": "my-pack", "tasks": {"hello": "echo hello"}}
    assert spec.unknown == ("name",)
    (warning,) = spec.warnings
    assert (warning.key, warning.line) == ("name", 1)


def test_unknown_options_are_kept_and_warned_of(env: Reader) -> None:
    spec = env("[options]\nhots = 'none'\n")
    assert spec.options.other == {"hots": "none"}
    (warning,) = spec.warnings
    assert warning.key == "options.hots"
    assert "host" in warning.remedy


def test_pypi_requirement_without_a_version_is_any_version_of_it(env: Reader) -> None:
    assert env('[pypi-dependencies]\ntrimesh = { extras = ["easy"] }').pypi_dependencies
