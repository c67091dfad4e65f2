"""Which scripts of a pack a page loads."""

from __future__ import annotations

from pathlib import Path

from comfy_env_core.comfyui.web.page_scripts import page_scripts


def test_scripts_are_named_as_comfyui_lists_them(tmp_path: Path) -> None:
    folder = tmp_path / "js [new]"
    for name in ("b.js", "a.js", "deep/er/c d.js", "style.css", "module.mjs", "a.js.map"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert page_scripts({"my pack/é": str(folder), "without": str(tmp_path / "gone")}) == (
        "/extensions/my%20pack/%C3%A9/a.js",
        "/extensions/my%20pack/%C3%A9/b.js",
        "/extensions/my%20pack/%C3%A9/deep/er/c d.js",
    )
