"""A user's ComfyUI with small packs, each for one thing that the panel has to show."""

from __future__ import annotations

import textwrap
from pathlib import Path

from host.base import Place, make_base

#: Not built until the test that watches its first build.
FIRST = "panel-first"
#: Ready whenever a test needs a pack that works.
WORKS = "panel-works"
#: Built, rebuilt, rolled back and deleted.
KEPT = "panel-kept"
#: Its download is held back whenever a test looks at a build under way.
SLOW = "panel-slow"
#: Asks for a version that no index has.
DOOMED = "panel-doomed"
#: Its file has a mistake in line 3.
MISTAKEN = "panel-mistaken"
#: Brings a page script whose folder nobody knows before its code ran in its environment.
SCRIPTED = "panel-scripted"

NODE = """
import sys

import {module}


class {node}:
    CATEGORY = "panel"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"text": ("STRING", {{"default": "hello"}})}}}}

    def run(self, text):
        print("{node} was given", text, flush=True)
        if text == "fail":
            raise ValueError("This text cannot be worked on.")
        return {{"ui": {{"text": [text, {module}.project]}}, "result": (text,)}}


NODE_CLASS_MAPPINGS = {{"{node}": {node}}}
"""

SCRIPT = """
import { app } from "../../scripts/app.js";

app.registerExtension({ name: "panel-scripted", setup: () => (window.panelScripted = "set up") });
"""


def node_of(pack: str) -> str:
    """The one node of a pack: "panel-works" → "PanelWorks"."""
    return pack.title().replace("-", "")


def set_up(root: Path, store: Path, index_url: str, edition: str) -> Place:
    """`edition` is part of each file, so that each gets environments of its own in the one store."""
    base = make_base(root / "base")
    for pack in (FIRST, WORKS, KEPT, SLOW, SCRIPTED):
        write_pack(base, pack, f'[pypi-dependencies]\n{pack} = "*"\n', index_url, edition)
    write_pack(base, DOOMED, f'[pypi-dependencies]\n{DOOMED} = "==99"\n', index_url, edition)
    write_pack(base, MISTAKEN, '[pypi-dependencies]\nnumpy = ">=2"\npillow = [\n', index_url, edition)
    add_script(base / "custom_nodes" / SCRIPTED)
    # Nothing is built before a test asks for it, by a click.
    return Place(base, {"COMFY_ENV_ROOT": str(store), "COMFY_ENV_BUILD": "off"})


def write_pack(base: Path, pack: str, needs: str, index_url: str, edition: str) -> None:
    directory = base / "custom_nodes" / pack
    directory.mkdir(parents=True)
    source = NODE.format(module=pack.replace("-", "_"), node=node_of(pack))
    (directory / "__init__.py").write_text(source, encoding="utf-8")
    options = f'[pypi-options]\nextra-index-urls = ["{index_url}"]\n'
    text = f"{needs}\n{options}# {edition}\n"
    (directory / "comfy-env.toml").write_text(text, encoding="utf-8")


def add_script(directory: Path) -> None:
    (directory / "page").mkdir()
    (directory / "page" / "scripted.js").write_text(SCRIPT, encoding="utf-8")
    with (directory / "__init__.py").open("a", encoding="utf-8") as code:
        code.write(
            textwrap.dedent(
                """
                import os
                WEB_DIRECTORY = os.path.join(os.path.dirname(os.path.realpath(__file__)), "page")
                """
            )
        )
