"""The package of example workflows, with none in it: the real one brings several hundred MB of pictures."""

from __future__ import annotations


def iter_templates() -> list[object]:
    return []


def get_asset_path(template_id: str, filename: str) -> str:
    raise KeyError(f"the stand-in for ComfyUI's templates has none: {template_id!r}, {filename!r}")
