"""The text of a new comfy-env.toml, with what was found out about the pack and the rest as comments to fill in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from comfy_env_core.building.toml_text import toml_comment, toml_key, toml_value
from comfy_env_core.cli.wanted_packages import Findings, Wanted

_HEAD = """\
# What the nodes of this folder need, in a Python environment of their own.
# comfy-env manager builds it and runs the nodes there: https://pixi.sh describes the tables that it does not.
# Written by `init`: check the packages below, then run `build`.

# The Python of the environment. Without this line it is ComfyUI's own version.
# python = "3.11"
"""

_TAIL = """\
# conda packages, for what is not on PyPI (libraries and programs that are not Python):
# [dependencies]
# cgal = "*"

# Packages with CUDA code, built for ComfyUI's torch. Where there is no NVIDIA GPU they are left out:
# [cuda]
# packages = ["flash-attn"]

# Packages for one system only:
# [target.win.pypi-dependencies]
# pywin32 = "*"

# Variables of the process that runs the nodes:
# [env_vars]
# OMP_NUM_THREADS = "4"
"""

ISOLATED_INIT = '''\
"""The nodes that run in the environment of the comfy-env.toml beside this file."""

from __future__ import annotations


class IsolatedExample:
    """Says which Python runs it. Put your own nodes here."""

    CATEGORY = "examples"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "Hello"})}}

    def run(self, text):
        import sys

        return (f"{text} from Python {sys.version.split()[0]} in {sys.prefix}",)


NODE_CLASS_MAPPINGS = {"IsolatedExample": IsolatedExample}
NODE_DISPLAY_NAME_MAPPINGS = {"IsolatedExample": "Isolated Example"}
'''


def pack_init(folder: str) -> str:
    """The `__init__.py` of a pack whose nodes are in the isolated `folder`; everything else of it runs in ComfyUI."""
    return (
        f"from .{folder} import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS\n\n"
        '__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]\n'
    )


def config_text(findings: Findings) -> str:
    """Valid TOML, and a valid comfy-env.toml."""
    general = [one for one in findings.wanted if not one.section]
    blocks = [_HEAD, "\n".join(["[pypi-dependencies]", *_lines(general)]) + "\n"]
    for section in sorted({one.section for one in findings.wanted} - {""}):
        chosen = [one for one in findings.wanted if one.section == section]
        blocks.append("\n".join([f"[target.{section}.pypi-dependencies]", *_lines(chosen)]) + "\n")
    if findings.indexes:
        indexes = toml_value(list(findings.indexes))
        blocks.append(f"[pypi-options]\nextra-index-urls = {indexes}  # requirements.txt\n")
    if findings.remarks:
        blocks.append(toml_comment("\n".join(["In requirements.txt:", *findings.remarks])) + "\n")
    return "\n".join([*blocks, _TAIL])


def _lines(wanted: Sequence[Wanted]) -> Iterator[str]:
    for one in sorted(wanted, key=lambda one: (not one.is_sure, one.name.lower())):
        line = f"{toml_key(one.name)} = {toml_value(one.value)}"
        if one.is_sure:
            yield f"{line}  {toml_comment(one.origin)}"
        else:
            yield f"# {line}  {toml_comment(f'{one.origin}, where it may fail')}"
