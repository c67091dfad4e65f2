"""Puts the figures of a run into docs/performance.md and the drawing beside it; the words there are not touched.

A block of figures lies between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import drawing, report
from benchmarks.contestants import CONTESTANTS, REPOSITORY

PAGE = REPOSITORY / "docs" / "performance.md"
PICTURE = REPOSITORY / "docs" / "performance-growth.svg"
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def write(result: Mapping[str, Any], page: Path = PAGE, picture: Path = PICTURE) -> list[Path]:
    """The files written. Raises ValueError if the page has a block that nobody fills, or lacks one."""
    filled = {name: report.markdown_table(rows) for name, rows in report.tables(result).items()}
    blocks = {"machine": machine_line(result), **filled}
    before = page.read_text(encoding="utf-8")
    found = [match[2] for match in BLOCK.finditer(before)]
    if sorted(found) != sorted(blocks):
        raise ValueError(
            f"Filling in {page}: it has blocks for {sorted(found)}, the figures are {sorted(blocks)}"
        )
    after = BLOCK.sub(lambda match: f"{match[1]}{blocks[match[2]]}\n{match[3]}", before)
    page.write_text(after, encoding="utf-8")
    picture.write_text(drawing.draw(result["growth"]), encoding="utf-8")
    return [page, picture]


def machine_line(result: Mapping[str, Any]) -> str:
    """Where and how the figures were measured, as a sentence or two."""
    machine, extent = result["machine"], result["extent"]
    packages = dict(item for one in CONTESTANTS for item in result["versions"].get(one.name, {}).items())
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}; "
        f"{versions}. Tensors of {extent['mb']} MB, {extent['calls']} small calls, medians of "
        f"{extent['rounds']} rounds; load before the start {machine['load_before']:.2f}."
    )
