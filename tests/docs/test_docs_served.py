"""Examples that talk to a running server, over one; and the reference of its routes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S

pytest.importorskip("aiohttp", reason="aiohttp comes with ComfyUI; without it there is no server to talk to")

from api.stage import Stage

from docs.likeness import difference
from docs.pages import REPOSITORY, Block, all_pages, page

#: Where a page thinks that ComfyUI is.
ADDRESS = "http://127.0.0.1:8188"
SERVED = [
    pytest.param(block, id=f"{one.name}:{block.line}")
    for one in all_pages()
    for block in one.blocks
    if "served" in block.flags
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """With one pack, whose nodes are ready."""
    with Stage(tmp_path_factory.mktemp("served")) as opened:
        opened.add_pack("mesh-tools")
        opened.open()
        assert opened.manager.wait(PATIENCE_S)
        yield opened


@pytest.mark.parametrize("block", SERVED)
def test_examples_for_a_server_do_what_the_page_says(block: Block, stage: Stage) -> None:
    text = block.text.replace(ADDRESS, stage.url)
    if block.language == "python":
        exec(compile(text, "<example>", "exec"), {"__name__": "__example__"})
        return
    assert block.language == "console"
    for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = entry.partition("\n")
        wrong = difference(expected, run_curl(command))
        assert wrong is None, f"{command}: {wrong}"


def run_curl(command: str) -> str:
    name, *arguments = shlex.split(command)
    assert name == "curl"
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("There is no curl on PATH: this example was NOT run.")
    completed = subprocess.run(
        [curl, "--silent", "--show-error", *arguments], capture_output=True, text=True, timeout=30, check=True
    )
    return completed.stdout + "\n"


def test_there_are_examples_in_both_ways_of_calling() -> None:
    assert {block.values[0].language for block in SERVED} == {"console", "python"}  # type: ignore[attr-defined]


def test_reference_of_routes_is_written_from_their_declarations() -> None:
    program = REPOSITORY / "tools" / "document_routes.py"
    outcome = subprocess.run(
        [sys.executable, str(program), "--check"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


def test_every_shape_of_the_reference_is_explained_and_linked() -> None:
    """A heading that nothing leads to would be noise."""
    reference = page("rest.md")
    targets = {target.removeprefix("#") for _, target in reference.links if target.startswith("#")}
    text = reference.text.split("\n## Shapes\n")[1]
    shapes = {name.lower() for name in re.findall(r"^### (\w+)$", text, re.MULTILINE)}
    assert shapes - targets <= {"erroranswer", "errorbody", "nobody"}


def test_limits_that_are_told_are_those_of_the_code() -> None:
    from comfy_env_core.api.bodies import LARGEST_BYTES

    assert f"{LARGEST_BYTES // 1024} KiB" in page("rest.md").text
    source = (Path(REPOSITORY) / "comfy_env_core" / "api" / "work.py").read_text("utf-8")
    assert re.search(r"^_REMEMBERED = 100$", source, re.MULTILINE) and "last hundred" in page("rest.md").text
