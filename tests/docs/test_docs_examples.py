"""Every example of every page is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import examples
from docs.pages import Page, all_pages
from docs.stage import Stage


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_examples_do_what_the_page_says(page: Page, tmp_path: Path) -> None:
    problems = list(examples.problems(page, Stage(tmp_path)))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_no_example_is_outside_of_a_fence(page: Page) -> None:
    """Indented text is code as well, to Markdown, and nobody would run it."""
    before = ""
    for number, line in page.prose:
        continues = before.startswith((" ", "-", "*", "1", "2", "3", "4", "5", "6", "7", "8", "9"))
        assert not line.startswith("    ") or continues, f"{page.name}:{number}"
        before = line or before
