"""Every wrong file ends in a ConfigError that names the place and the remedy."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfy_env_core.config import ConfigError, parse_env, parse_root

Reader = Callable[[str | bytes], ConfigError]


def test_unquoted_python_explains_itself(env_error: Reader) -> None:
    error = env_error("python = 3.10  # bpy needs it\n")
    assert error.key == "python"
    assert error.line == 1
    assert "3.10 without quotes is a number, which TOML reads as 3.1" in error.problem
    assert error.remedy == 'Write python = "3.10"'


def test_message_is_one_sentence_with_file_line_key_and_remedy(env_error: Reader) -> None:
    message = str(env_error("\npython = 2\n"))
    assert message == (
        "custom_nodes/pack/comfy-env.toml, line 2, key 'python': the Python version should be a string, but is a "
        'number, 2. Write a version in quotes, for instance python = "3.11".'
    )


@pytest.mark.parametrize(
    ("text", "key", "line", "word"),
    [
        ('python = "banana"', "python", 1, "not a Python version"),
        ('python = "2.7"', "python", 1, "too old"),
        ('python = "3.8.*"', "python", 1, "too old"),
        ('python = "3.99"', "python", 1, "there is no Python 3.99"),
        ('python = "310"', "python", 1, "there is no Python 310"),
        ('python = "3"', "python", 1, "no minor version"),
        ('python = ">=3.12,<3.10"', "python", 1, "satisfies"),
        ('python = "<3.9"', "python", 1, "satisfies"),
        ('python = ""', "python", 1, "not a Python version"),
        ('python = ["3.11"]', "python", 1, "a list"),
        ("python = true", "python", 1, "a boolean"),
        ("python = 2024-01-01", "python", 1, "a date or time"),
        ('python = "3.11"\n[dependencies]\npython = "3.10"', "dependencies.python", 3, "twice"),
        ('[pypi-dependencies]\npython = "3.10"', "pypi-dependencies.python", 2, "not a PyPI package"),
        ('dependencies = ["numpy"]', "dependencies", 1, "should be a table"),
        (
            '[pypi-dependencies]\na = { git = "u", path = "p" }',
            "pypi-dependencies.a",
            2,
            "two places, git and path",
        ),
        ("[dependencies]\nnumpy = 1.26", "dependencies.numpy", 2, "1.26 without quotes"),
        ("dependencies = { numpy = 1.26 }", "dependencies.numpy", 1, "1.26 without quotes"),
        ('[dependencies]\nnumpy = ""', "dependencies.numpy", 2, "empty"),
        ("[dependencies]\nnumpy = true", "dependencies.numpy", 2, "a boolean"),
        ('[dependencies]\n"numpy>=1" = "*"', 'dependencies."numpy>=1"', 2, "not the name"),
        ('[dependencies]\nbpy = { chanel = "x" }', "dependencies.bpy.chanel", 2, "no meaning"),
        ("[dependencies]\nbpy = { version = 4 }", "dependencies.bpy.version", 2, "should be a string"),
        ('[pypi-dependencies]\n\nnumpy = "1.26"', "pypi-dependencies.numpy", 3, "no comparison"),
        ('[pypi-dependencies]\nnumpy = "^1.26"', "pypi-dependencies.numpy", 2, "not a PyPI version range"),
        ('[pypi-dependencies]\nav = "*; os_name"', "pypi-dependencies.av", 2, "environment marker"),
        (
            '[pypi-dependencies]\na = { git = "u", version = "*" }',
            "pypi-dependencies.a.version",
            2,
            "beside git",
        ),
        ('[pypi-dependencies]\na = { git = "u", rev = "1", tag = "2" }', "pypi-dependencies.a", 2, "twice"),
        ('[pypi-dependencies]\na = { extras = "easy" }', "pypi-dependencies.a.extras", 2, "list of strings"),
        ("[cuda]\npackages = 1", "cuda.packages", 2, "list of strings"),
        ('[cuda]\nflash-attn = ["*"]', "cuda.flash-attn", 2, "name of a package with its version"),
        ('[cuda]\npackages = ["flash-attn[x]"]', "cuda.packages", 2, "not the name"),
        ('[cuda]\npackages = [{ name = "flash-attn" }]', "cuda.packages", 2, "a table"),
        ('[pip]\nnumpy = "*"', "pip", 1, "not a key of this file"),
        ('[pip]\npackages = ["numpy"]', "pip", 1, "not a key of this file"),
        ('channels = ["conda-forge"]', "channels", 1, "not a key of this file"),
        ('Python = "3.11"', "Python", 1, "not a key of this file"),
        ('[CUDA]\npackages = ["x"]', "CUDA", 1, "not a key of this file"),
        ("[env_vars]\nDEBUG = true", "env_vars.DEBUG", 2, "a boolean"),
        ("[env_vars]\nRATIO = 0.10", "env_vars.RATIO", 2, "an environment variable is a string"),
        ('[env_vars]\n"A=B" = "x"', 'env_vars."A=B"', 2, "no system"),
        ('[options]\nhost = "tourch"', "options.host", 2, "'tourch' is not one of"),
        ('[options]\nin_host = "a"', "options.in_host", 2, "list of strings"),
        ('[pypi_dependencies]\nnumpy = "*"', "pypi_dependencies", 1, "not a key of this file"),
        ('[dependancies]\nnumpy = "*"', "dependancies", 1, "not a key of this file"),
        ('[feature.gpu.dependencies]\ncuda = "*"', "feature", 1, "one environment"),
        ('[target.windows.dependencies]\nav = "*"', "target.windows", 1, "not a platform"),
        ("[target.win-64.dependencies]\nav = 1", "target.win-64.dependencies.av", 2, "without quotes"),
        ("[workspace]\nchannels = [1]", "workspace.channels", 2, "a channel should be"),
        ("system-requirements = 1", "system-requirements", 1, "should be a table"),
    ],
)
def test_wrong_content_names_key_line_and_remedy(
    env_error: Reader, text: str, key: str, line: int, word: str
) -> None:
    error = env_error(text)
    assert (error.key, error.line) == (key, line)
    assert word in error.problem
    assert error.remedy


@pytest.mark.parametrize(
    ("slip", "remedy"),
    [
        ("numpy", 'Write numpy = "*"'),
        ("numpy>=1.2,<2", 'Write numpy = ">=1.2,<2"'),
        ("numpy == 1.26", 'Write numpy = "==1.26"'),
        ("trimesh[easy]>=4", 'Write trimesh = { version = ">=4", extras = ["easy"] }'),
        ("lib @ git+https://h/lib@v1", 'Write lib = { git = "https://h/lib", rev = "v1" }'),
        ("numpy = *", 'quotes: numpy = "*"'),
        ("numpy = >=1.2  # why", 'quotes: numpy = ">=1.2"'),
        ('numpy = ">=1.2', 'Close the text: numpy = ">=1.2"'),
        ("numpy = \u201c*\u201d", 'straight quotes: numpy = "*"'),
        ('numpy: "*"', 'Write numpy = "*"'),
        ('"numpy": "*",', 'Write numpy = "*"'),
        ("a = C:\\wheels", 'forward slashes: a = "C:/wheels"'),
        ('a = "C:\\wheels"', 'forward slashes: a = "C:/wheels"'),
        ("a = [flash-attn, 'b']", "quotes: a = [\"flash-attn\", 'b']"),
        ('a = [\n"x"\n"y"]', 'Put a comma after "x" on line 3'),
        ("[env_vars", "Close the bracket: [env_vars]"),
        ('a = [\n"x",\n"y"\n[env_vars]', "the list that begins on line 2"),
        ('a = ["x", "y"\nb = "*"', "the list that begins on line 2"),
        ('a = ["x", "y"', 'Close the list: a = ["x", "y"]'),
        ('a = >=1.2"', 'with a quote: a = ">=1.2"'),
        ('a ">=1.2"', 'Write a = ">=1.2"'),
        ('a = "*", b = "*"', 'Write two lines: a = "*", and below it b = "*"'),
        ("import os, sys", "Correct this line"),
    ],
)
def test_slips_in_toml_are_shown_corrected(env_error: Reader, slip: str, remedy: str) -> None:
    error = env_error(f"[pypi-dependencies]\n{slip}\n")
    assert error.line is not None
    assert remedy in error.remedy


def test_an_inline_table_over_several_lines_is_read_by_parsers_of_toml_1_1_and_shown_joined_by_others() -> (
    None
):
    text = b'[pypi-dependencies]\na = { version = "*",\n  extras = ["x"],\n}\n'
    try:
        spec = parse_env(text, Path("x"))
    except ConfigError as error:
        assert 'one line: a = { version = "*", extras = ["x"] }' in error.remedy
    else:
        assert spec.pypi_dependencies == {"a": {"version": "*", "extras": ["x"]}}


@pytest.mark.parametrize(
    ("text", "line", "word", "remedy"),
    [
        ('[cuda\npackages = ["x"]', 1, "not TOML", "Close the bracket: [cuda]"),
        ('a = "1"\n\nb = = 2\n', 3, "'b = = 2'", 'b = "= 2"'),
        ('[pypi-dependencies]\nx = "*"\nx = ">=2"', 3, "not TOML", "stands on line 2 already"),
        ('[cuda] # a\n[env_vars]\na = "1"\n[cuda]\n', 4, "not TOML", "begins on line 1 already"),
        ('[a]\nx = "1"\n[b]\nx = "2"\ny = x\n', 5, "not TOML", 'y = "x"'),
        ("[pypi-dependencies]\ntrimesh[easy] = '*'", 2, "trimesh[easy]", 'extras = ["easy"]'),
        ("python = 3.10.13", 1, "3.10.13", 'python = "3.10.13"'),
        ("[dependencies]\nav = >=13", 2, ">=13", 'av = ">=13"'),
        ('a = 1\nb = """no end', 2, "not TOML", "Correct"),
        ("\nx = " + "9" * 5000 + "\n\n", 2, "a number cannot be read", "Shorten it"),
        ("caf\x00e = 1", 1, "not TOML", "Correct"),
    ],
)
def test_broken_toml_names_the_line(env_error: Reader, text: str, line: int, word: str, remedy: str) -> None:
    error = env_error(text)
    assert error.line == line
    assert word in error.problem
    assert remedy in error.remedy


def test_deep_nesting_is_an_error_of_the_file(env_error: Reader) -> None:
    assert "nested" in env_error("x = " + "[" * 100_000).problem


def test_bytes_that_are_not_utf8_name_their_line(env_error: Reader) -> None:
    error = env_error('python = "3.11"\n# na\xefve\n'.encode("latin-1"))
    assert error.line == 2
    assert "0xef" in error.problem
    assert "UTF-8" in error.remedy


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_named(env_error: Reader, encoding: str) -> None:
    assert "UTF-16" in env_error(('\ufeffpython = "3.11"').encode(encoding)).problem


def test_line_of_a_key_survives_strings_comments_and_arrays_that_look_like_keys(env_error: Reader) -> None:
    text = (
        '# [cuda]\n[workspace]\nchannels = [  # [cuda]\n  "a = 1",\n  "]",\n]\ndescription = """\n[cuda]\n'
        'packages = 1\n"""\n[target."linux-64".dependencies]\n"c-compiler" = "*"\n[cuda]\npackages = 1\n'
    )
    assert env_error(text).line == 14


def test_line_is_counted_alike_in_files_with_windows_line_ends(env_error: Reader) -> None:
    assert env_error('python = "3.11"\r\n\r\n[cuda]\r\npackages = 1\r\n').line == 4


def test_root_file_errors_name_key_line_and_remedy(root_error: Reader) -> None:
    for text, key, line in [
        ('[apt]\npackages = "libgl1"', "apt.packages", 2),
        ('[apt]\nlibgl1 = "*"', "apt.libgl1", 2),
        ('[apt]\npackages = ["-o APT::x"]', "apt.packages", 2),
        ("[brew]\npackages = [1]", "brew.packages", 2),
        ("[node_reqs]\nKJNodes = 1", "node_reqs.KJNodes", 2),
        ('node_reqs = ["a"]', "node_reqs", 1),
        ('[node-reqs]\na = "b/c"', "node-reqs", 1),
        ('types = "x"', "types", 1),
    ]:
        error = root_error(text)
        assert (error.key, error.line) == (key, line)
        assert error.remedy


def test_error_survives_being_pickled(env_error: Reader) -> None:
    error = env_error("python = 3")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.line == error.line


_TOML_LIKE = st.lists(
    st.sampled_from(
        [
            *(
                "python",
                "cuda",
                "dependencies",
                "pypi-dependencies",
                "env_vars",
                "options",
                "target",
                "local",
                "x",
            ),
            *(
                "[",
                "]",
                "{",
                "}",
                "=",
                ".",
                ",",
                '"',
                "'",
                '"""',
                "#",
                "\n",
                "\r\n",
                " ",
                "*",
                "3.10",
                "true",
                "\\",
                "é",
            ),
        ]
    ),
    max_size=30,
).map(lambda parts: "".join(parts).encode())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | _TOML_LIKE)
def test_any_bytes_are_a_specification_or_a_config_error(source: bytes) -> None:
    for parse in (parse_env, parse_root):
        try:
            assert parse(source, Path("x")).source == source
        except ConfigError as error:
            assert error.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            'pypi-dependencies = ["numpy>=1.2", "trimesh[easy]"]',
            'below [pypi-dependencies]: numpy = ">=1.2", trimesh = { version = "*", extras = ["easy"] }',
        ),
        ('dependencies = ["cgal >=5"]', 'below [dependencies]: cgal = ">=5"'),
        ('[pypi-dependencies]\na = [">=1", "<2"]', 'Write a = ">=1,<2"'),
        (
            "[pypi-dependencies]\na = \">=1; sys_platform == 'win32'\"",
            '[target.win.pypi-dependencies] a = ">=1"',
        ),
        ('[pypi-dependencies]\na = "git+https://h/a@v1"', 'Write a = { git = "https://h/a", rev = "v1" }'),
        ('[pypi-dependencies]\nPillow = "*"\npillow = "*"', "Pillow stands on line 2"),
        ('[pypi-dependencies]\na = { version = "*", index = "pytorch" }', '"https://…/simple"'),
        ('[pypi-options]\nextra-index-urls = ["pytorch"]', '"https://…/simple"'),
        ('[target.win-64.env_vars]\nA = "1"', '[target.win-64.activation] env = { NAME = "value" }'),
        ('[target.win-64.cuda]\npackages = ["a"]', "Move it to [cuda]"),
        ('[m]\npython = "3.11"\n[m.pip]\na = "*"', "packages under [pypi-dependencies]"),
        ('[cuda]\npackages = ["a"]\npython = "3.10"', 'Move python = "3.10" to the top'),
        ('[env_vars]\nA = "1"\npython = 3.10', 'Move python = "3.10" to the top'),
        ('[[pypi-dependencies]]\na = "*"', "single brackets: [pypi-dependencies]"),
        ('[pypi-dependencies]\n"numpy>=1.2" = ""', 'on the right: numpy = ">=1.2"'),
        ('[dependencies]\nav = "^1.2"', 'Write av = ">=1.2,<2"'),
        ('[dependencies]\nav = { version = "a;b" }', "a range such as"),
        ('[dependencies]\nav = "https://h/av.conda"', 'Write av = { url = "https://h/av.conda" }'),
        ('[dependencies]\n"conda-forge::av" = "*"', 'Write av = { version = "*", channel = "conda-forge" }'),
        ('[pypi-options]\nfind-links = ["./w"]', 'find-links = [{ path = "./w" }]'),
        ("[system-requirements]\nlibc = 2.10", 'libc = "2.10"'),
        ("exclude-newer = 2025-06-01", 'exclude-newer = "2025-06-01"'),
        ('[workspace]\nplatforms = ["windows"]', 'Write "win-64"'),
        ('[pypi-options]\nno-build = "yes"', "no-build = true, without quotes"),
        ('[tool.pixi.dependencies]\na = "*"', "at the top level"),
    ],
)
def test_remedy_shows_what_to_write(env_error: Reader, text: str, remedy: str) -> None:
    assert remedy in env_error(text).remedy
