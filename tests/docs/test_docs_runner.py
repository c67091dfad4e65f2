"""What runs the examples: each kind of wrong example is told, with its line, and right ones pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import examples, likeness
from docs.pages import DOCS, Page
from docs.stage import Stage

PACK = '```toml file=mesh/comfy-env.toml\n[pypi-dependencies]\nmsgpack = "*"\n```\n'


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def problems(text: str, stage: Stage) -> list[str]:
    return list(examples.problems(Page(DOCS / "example.md", text), stage))


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ('```toml\npython = "3.11"\n[dependancies]\ncgal = "*"\n```', "Did you mean 'dependencies'"),
        ('```toml\n[env]\npython = "3.11"\n```', "belongs to an older form"),
        ('```toml fails\npython = "3.11"\n```', "read without an error"),
        ("```toml fails\npython = 3.10\n```", "the text block below should say: comfy-env.toml, line 1"),
        ("```toml fails\npython = 3.10\n```\n```text\nAll is well.\n```", "the text block below should say"),
        ('```toml older\npython = "3.11"\n```', "read without a warning"),
        (
            '```toml older\n[env]\npython = "3.11"\n```\n```text\nAll is well.\n```',
            "nothing looks like 'All is well.'",
        ),
        ('```toml root\n[types]\nMESH = "magic"\n```', "how 'MESH' travels"),
        ("```toml foreign\n= 1\n```", "TOMLDecodeError"),
        ('```json\n{"a": 1,}\n```', "JSONDecodeError"),
        ('```json settings\n{"engine": "conda"}\n```', "engine is 'conda', not one of"),
        ('```json settings\n{"colour": "red"}\n```', "colour is no setting"),
        ("```ini\nindex-url = x\n```", "MissingSectionHeaderError"),
        ("```python\nassert 1 + 1 == 3\n```", "AssertionError"),
        ("```sh\nnox -s nonsense\n```", "is not known"),
        ("```sh\npython -m comfy_env_core build --fast\n```", "is not known"),
        ("```sh\npython -m comfy_env_core bild\n```", "is not known"),
        ("```sh\nformat C:\n```", "is not known"),
        ("```bat\npython_embeded\\python.exe -s ce\\comfy_env_core bild\n```", "is not known"),
        ("```\nsomething\n```", "a block without a language"),
        ("```ruby\nputs 1\n```", "nobody knows how to run 'ruby'"),
        ("```console\nscan\n```", "the first line should be a command"),
    ],
)
def test_wrong_example_is_told_with_its_line(block: str, told: str, stage: Stage) -> None:
    (problem,) = problems(f"# Title\n\n{block}\n", stage)
    assert told in problem and problem.startswith("docs/example.md:4: ")


@pytest.mark.parametrize(
    "output",
    [
        "mesh  ready  1a2b3c4d  not built yet\n…\n",
        "mesh  unbuilt  1a2b3c4d  not built yet\n1 unbuilt; environments in ~/.ce\nAnd that is all.\n",
        "…\nmesh  unbuilt  1a2b3c4d  not built yet\n",
        "",
    ],
)
def test_output_that_is_not_written_is_told(output: str, stage: Stage) -> None:
    command = "python -m comfy_env_core status"
    (problem,) = problems(f"{PACK}```console\n$ {command}\n{output}```\n", stage)
    assert problem.startswith(f"docs/example.md:6: {command}: ") and "mesh unbuilt" in likeness.normalised(
        problem
    )


def test_exit_code_is_part_of_an_example(stage: Stage) -> None:
    command = "```console{}\n$ python -m comfy_env_core status nobody\n…\n```\n"
    (problem,) = problems(command.format(""), stage)
    assert "it ends with 3" in problem
    assert problems(command.format(" exit=3"), stage) == []


def test_command_that_is_none_of_ours_is_an_error_of_the_page(stage: Stage) -> None:
    with pytest.raises(ValueError, match="known are"):
        problems("```console\n$ rm -rf /\n```\n", stage)


def test_right_examples_have_no_problems(stage: Stage) -> None:
    console = (
        "```console\n$ python -m comfy_env_core status\nmesh  unbuilt  1a2b3c4d  not built yet\n…\n"
        "$ python -m comfy_env_core scan\n…\n1 isolated, 0 packs without a file of ours.\n```\n"
    )
    failing = "```toml fails\npython = 3.10\n```\n\n```text\n…line 1…: 3.10 without quotes…\n```\n"
    others = "```python\nassert True\n```\n```json\n[1]\n```\n```sh\nCOMFY_ENV_ENGINE=pixi nox -s lint\n```\n"
    assert problems(PACK + console + failing + others, stage) == []


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        ("built 2026-01-01T00:00:00+00:00 in 4 s", "built 2027-12-31T23:59:59+00:00 in 11.5 s"),
        ("Environment 12fe0f69, 92.1 MB", "Environment 00000000, 1 GB"),
        ("numpy  1.26.4   pypi", "numpy 2.4.6 pypi"),
        ("torch …", "torch 2.13.0+cpu is there"),
        ("first\n…\nlast", "first\nlast"),
        ("…", ""),
        ("first\n…\nlast", "first\n1\n2\nlast"),
    ],
)
def test_what_differs_from_day_to_day_is_no_difference(wanted: str, written: str) -> None:
    assert likeness.difference(wanted, written) is None


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        ("3 packages", "4 packages"),
        ("ready", "failed"),
        ("a\nb", "b\na"),
        ("a", "a\nb"),
        ("a.b", "axb"),
        ("", "a"),
    ],
)
def test_other_words_are_a_difference(wanted: str, written: str) -> None:
    assert likeness.difference(wanted, written) is not None


def test_fence_that_is_never_closed_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 3"):
        _ = Page(DOCS / "example.md", "# Title\n\n```toml\n").blocks


def test_anchors_are_those_of_github() -> None:
    anchors = Page(
        DOCS / "example.md", "# `--listen`, or not?\n## A b\n## A b\n```sh\n# no heading\n```\n"
    ).anchors
    assert anchors == {"--listen-or-not", "a-b", "a-b-1"}
