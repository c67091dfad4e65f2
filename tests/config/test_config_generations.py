"""Files of older generations mean today what they meant then, and say how they are written now."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comfy_env_core.config import ConfigError, EnvSpec

Reader = Callable[[str], EnvSpec]
ErrorReader = Callable[[str], ConfigError]

# One environment in a file of its own, with placeholders that were filled in when it was made.
SINGLE = """
[env]
name = "objects"
python = "3.10"
cuda = "auto"
pytorch_version = "auto"

[packages]
requirements = [
    "torch=={pytorch_version}",
    "pytorch3d==0.7.8+pt{pytorch_version}cu{cuda_short}",
    "trimesh[easy]>=4",
]
no_deps = ["nvdiffrast==0.4.0"]

[sources]
wheel_sources = ["https://wheels.example/"]
index_urls = ["https://index.example/simple"]
"""

# Environments under names of their own, beside what ComfyUI's own Python was to get.
NAMED = """
[mocap]
python = "3.11"
cuda_version = "12.4"
pytorch_version = "2.5.1"
isolated = true

    [mocap.cuda]
    detectron2 = "*"
    flash-attn = "2.8.3"

    [mocap.conda]
    packages = ["cgal", "ffmpeg>=6"]

    [mocap.packages]
    requirements = [
        "numpy>=1.23,<2",
        "lpips @ git+https://git.example/lpips.git@abc#subdirectory=sub",
        "av; python_version >= '3.10'",
        "winshell; sys_platform == 'win32'",
    ]
    [mocap.packages.linux]
    requirements = ["pyrender>=0.1"]
    [mocap.packages.darwin]
    requirements = []

[node_reqs]
KJ = "kijai/ComfyUI-KJNodes"

[local.cuda]
cc_torch = "*"
"""

# Today's sections, but versions beside the packages for CUDA, and what the pack asks for in the same file.
FLAT = """
python = "3.11"
[cuda]
nvdiffrast = "0.4.0"
torch-scatter = "*"
[apt]
packages = ["libgl1"]
[brew]
packages = ["ffmpeg"]
[types]
TRIMESH = "custom"
[node_packs]
KJ = "kijai/ComfyUI-KJNodes"
"""


def warned(spec: EnvSpec) -> str:
    return "\n".join(map(str, spec.warnings))


def test_one_environment_with_its_packages_and_sources_becomes_todays_sections(env: Reader) -> None:
    spec = env(SINGLE)
    assert spec.python == "3.10"
    assert spec.pypi_dependencies == {"trimesh": {"version": ">=4", "extras": ["easy"]}}
    assert spec.cuda_packages == ("torch", "pytorch3d", "nvdiffrast")
    assert spec.passthrough == {
        "pypi-options": {
            "find-links": [{"url": "https://wheels.example/"}],
            "extra-index-urls": ["https://index.example/simple"],
        }
    }
    assert 'Write it as today\'s files do: python = "3.10"' in warned(spec)
    assert '[pypi-dependencies] trimesh = { version = ">=4", extras = ["easy"] }' in warned(spec)
    for without_effect in ("env.name = 'objects'", "cuda = 'auto'", "'==0.4.0'", "{cuda_short}"):
        assert without_effect in warned(spec)


def test_a_named_environment_becomes_the_environment_of_the_file(env: Reader) -> None:
    spec = env(NAMED)
    assert spec.python == "3.11"
    assert spec.dependencies == {"cgal": "*", "ffmpeg": ">=6"}
    assert spec.cuda_packages == ("detectron2", "flash-attn", "cc_torch")
    assert spec.pypi_dependencies == {
        "torch": "==2.5.1",
        "numpy": ">=1.23,<2",
        "lpips": {"git": "https://git.example/lpips.git", "rev": "abc", "subdirectory": "sub"},
        "av": "*",
    }
    assert spec.passthrough["target"] == {
        "win": {"pypi-dependencies": {"winshell": "*"}},
        "linux": {"pypi-dependencies": {"pyrender": ">=0.1"}},
    }
    assert [required.directory for required in spec.prerequisites.node_reqs] == ["KJ"]
    assert spec.is_environment


def test_warnings_of_a_named_environment_stand_at_their_lines_and_show_the_new_spelling(env: Reader) -> None:
    lines = NAMED.split("\n")
    by_key = {warning.key: warning for warning in env(NAMED).warnings}
    whole = by_key["mocap"]
    assert whole.line is not None
    assert lines[whole.line - 1] == "[mocap]"
    assert 'python = "3.11"; [pypi-dependencies] torch = "==2.5.1"' in whole.remedy
    assert '[cuda] packages = ["detectron2", "flash-attn"]' in whole.remedy
    version = by_key["mocap.cuda.flash-attn"]
    assert version.line is not None
    assert "2.8.3" in lines[version.line - 1]
    assert by_key["mocap.cuda_version"].line == 4
    assert by_key["node_reqs"].remedy.endswith('[node_reqs] KJ = "kijai/ComfyUI-KJNodes"')


def test_versions_beside_packages_for_cuda_are_named_and_the_packages_kept(env: Reader) -> None:
    spec = env(FLAT)
    assert spec.cuda_packages == ("nvdiffrast", "torch-scatter")
    assert "the version of nvdiffrast, '0.4.0', has no effect" in warned(spec)
    assert spec.prerequisites.apt == ("libgl1",)
    assert spec.prerequisites.brew == ("ffmpeg",)
    assert [required.directory for required in spec.prerequisites.node_reqs] == ["KJ"]
    for told in ("[apt] packages", "[brew] packages", '[types] TRIMESH = "custom"', "[node_packs] belongs"):
        assert told in warned(spec)


@pytest.mark.parametrize(
    "text", ['cuda = ["flash-attn==2.8", "gsplat"]', '[cuda]\npackages = ["flash-attn==2.8", "gsplat"]']
)
def test_a_list_of_packages_for_cuda_may_hold_versions(env: Reader, text: str) -> None:
    spec = env(text)
    assert spec.cuda_packages == ("flash-attn", "gsplat")
    assert "'==2.8', has no effect" in warned(spec)


def test_a_version_of_cuda_in_place_of_packages_is_named_as_what_it_is(env: Reader) -> None:
    spec = env('cuda = "12.8"')
    assert spec.cuda_packages == ()
    assert "cuda = '12.8' follows from ComfyUI" in warned(spec)


def test_one_package_for_cuda_may_stand_without_a_list(env: Reader) -> None:
    assert env('[cuda]\npackages = "gsplat"').cuda_packages == ("gsplat",)


@pytest.mark.parametrize(
    "text", ["[apt]\npackages = ['a1']", "[local.cuda]\nx = '*'", "[node_packs]\nA = 'b/c'"]
)
def test_a_file_that_speaks_of_its_pack_alone_is_no_environment(env: Reader, text: str) -> None:
    assert not env(text).is_environment
    assert env(f"{text}\n[pypi-dependencies]\n").is_environment


def test_an_empty_file_is_an_environment(env: Reader) -> None:
    assert env("# all that these nodes need is a process of their own\n").is_environment


def test_two_named_environments_are_an_error_that_names_both_lines(env_error: ErrorReader) -> None:
    error = env_error('[a]\npython = "3.10"\n\n[b]\npython = "3.11"\n')
    assert (error.key, error.line) == ("b", 4)
    assert "[a] on line 1 and [b] on line 4" in error.problem
    assert "directories of their own" in error.remedy


@pytest.mark.parametrize(
    ("text", "key", "line", "word"),
    [
        ('[packages]\nrequirements_file = "r.txt"', "packages.requirements_file", 2, "'r.txt' are not part"),
        ('[packages]\nnumpy = "*"', "packages.numpy", 2, "may mean"),
        ('[packages]\nrequirements = ["-r x.txt"]', "packages.requirements", 2, "option of pip"),
        ('[packages]\nrequirements = [\n"a",\n1]', "packages.requirements", 2, "should be a string"),
        ('[packages]\nrequirements = [\n"a",\n"b==1.x y"]', "packages.requirements", 4, "not a PyPI version"),
        (
            "[packages]\nrequirements = [\n\"a; extra == 'x'\"]",
            "packages.requirements",
            3,
            "'extra' is not dec",
        ),
        ('[packages]\nrequirements = "a"', "packages.requirements", 2, "list of strings"),
        ('[packages]\nrequirements = ["https://h/x.zip"]', "packages.requirements", 2, "the name of its"),
        ("[m]\npython = 3.10", "m.python", 2, "3.10 without quotes"),
        ('python = "3.11"\n[m]\npython = "3.10"', "m.python", 3, "asked for twice"),
        ('[env]\nOMP_NUM_THREADS = "1"', "env.OMP_NUM_THREADS", 2, "no meaning under [env]"),
        ('[wheel_sources]\na = "https://h/a-{py_tag}.whl"', "wheel_sources.a", 2, "is a pattern"),
        ('env = "x"', "env", 1, "should be a table"),
        (
            '[m]\nisolated = true\n[m.packages]\nrequirements = ["a @ git+h://x", "a>=1"]',
            "m.packages.requirements",
            4,
            "twice",
        ),
    ],
)
def test_what_cannot_be_converted_names_the_place_in_the_file(
    env_error: ErrorReader, text: str, key: str, line: int, word: str
) -> None:
    error = env_error(text)
    assert (error.key, error.line) == (key, line)
    assert word in error.problem
    assert error.remedy


def test_values_that_the_file_itself_explains_are_filled_in(env: Reader) -> None:
    spec = env('[variables]\nv = "1.2"\n[env]\npython = "3.11"\n[packages]\nrequirements = ["a=={v}"]')
    assert spec.pypi_dependencies == {"a": "==1.2"}
    assert "'a=={v}' was read as 'a==1.2'" in warned(spec)


@pytest.mark.parametrize(
    ("marker", "targets"),
    [
        ("sys_platform == 'win32'", ["win"]),
        ('platform_system != "Windows"', ["linux", "osx"]),
        ("os_name == 'posix' and platform_machine == 'x86_64'", ["linux-64", "osx-64"]),
        (
            "(sys_platform == 'darwin' or sys_platform == 'linux') and python_version < '3.12'",
            ["linux", "osx"],
        ),
        ("'linux' in sys_platform", ["linux"]),
        ("platform_machine not in 'arm64 aarch64'", ["linux-64", "osx-64", "win"]),
        ("python_version >= '3.9'", []),
    ],
)
def test_a_marker_becomes_the_sections_of_the_platforms_it_names(
    env: Reader, marker: str, targets: list[str]
) -> None:
    quoted = marker.replace('"', '\\"')
    spec = env(f'[m]\npython = "3.11"\npackages = ["a>=1; {quoted}"]')
    assert list(spec.passthrough.get("target", {})) == targets
    assert spec.pypi_dependencies == ({} if targets else {"a": ">=1"})


def test_a_requirement_for_no_platform_is_said_to_have_no_effect(env: Reader) -> None:
    spec = env("[m]\nisolated = true\npackages = [\"a; sys_platform == 'cygwin'\"]")
    assert not spec.pypi_dependencies
    assert "applies to no platform" in warned(spec)


def test_todays_files_are_read_as_they_are(env: Reader) -> None:
    spec = env(
        'python = "3.11"\n[cuda]\npackages = ["gsplat"]\n[pypi-dependencies]\na = "*"\n[dependencies]\n'
    )
    assert spec.warnings == ()


def test_packages_for_other_gpus_are_no_environment_of_that_name(env: Reader) -> None:
    spec = env('[cuda]\npackages = ["flash-attn"]\n\n[rocm]\npackages = ["flash-attn"]\n')
    assert spec.cuda_packages == ("flash-attn",)
    assert spec.pypi_dependencies == {}
    (warning,) = spec.warnings
    assert warning.line == 4
    assert 'rocm = { packages = ["flash-attn"] } is for AMD\'s GPUs' in warning.problem
