"""Pictures small enough for a repository: what a page shows has few colours."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

COLOURS = 160
MOST_BYTES = 150_000


class TooLarge(RuntimeError):
    """A picture that would make every clone of the repository slower."""


def take(page: Page, path: Path) -> None:
    """What is in sight of `page`, as a PNG with a palette. Raises TooLarge."""
    page.mouse.move(0, 0)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    quantized = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    quantized.save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise TooLarge(f"{path} has {size} bytes, more than {MOST_BYTES}: show less in it.")
    print(f"{path}: {picture.width} × {picture.height}, {size / 1000:.0f} kB", flush=True)
