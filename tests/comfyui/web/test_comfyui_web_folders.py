"""Folders that packs serve, and web folders of packs that came after ComfyUI's server had started."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from webhost import WebPack, browser, play
from yarl import URL

from comfy_env_core.comfyui.web.table import Folder


def test_nothing_outside_of_a_folder_is_served(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "inside-too").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    for follows_links in (False, True):
        for tail in ("../secret", "/etc/passwd", "a/../../secret", "../inside-too", "", "."):
            assert Folder(inside, follows_links, tail).file() is None
    assert Folder(inside, False, "link").file() is None
    assert Folder(inside, True, "link").file() == inside / "link"


def test_static_folders_are_served_without_a_worker(web_pack: WebPack, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("page")
    (page / "é b.js").write_text("script")
    site = web_pack(
        f"""
routes.static("/pack/static", {str(page)!r})
PromptServer.instance.app.router.add_static("/pack/other", {str(page)!r})
routes.static("/pack/lost", {str(page / "missing")!r})
"""
    )

    def call(method: str, args: object) -> None:
        raise AssertionError("a worker was asked")

    site = dataclasses.replace(site, call=call)  # type: ignore[arg-type]

    async def scenario() -> None:
        async with browser(site) as client:
            assert await (await client.get("/pack/static/index.html")).text() == "page"
            script = await client.get("/pack/other/é b.js")
            assert await script.text() == "script" and "javascript" in script.content_type
            assert (await client.head("/pack/static/index.html")).status == 200
            for path in ("/pack/static/none", "/pack/static", "/pack/static/", "/pack/lost/index.html"):
                assert (await client.get(path)).status == 404
            assert (await client.post("/pack/static/index.html")).status == 404
            assert (await client.get(URL("/pack/static/%2e%2e/secret", encoded=True))).status == 404

    play(scenario())


def test_web_folders_of_packs_that_came_late_are_served(tmp_path: Path) -> None:
    web, front_end = tmp_path / "web", tmp_path / "front"
    for folder in (web / "js", front_end):
        folder.mkdir(parents=True)
    (web / "js" / "a.js").write_text("late")
    extension_dirs: dict[str, str] = {}

    async def scenario() -> None:
        async with browser(extension_dirs=extension_dirs, front_end=front_end) as client:
            assert (await client.get("/extensions/My Pack/js/a.js")).status == 404
            extension_dirs["My Pack"] = str(web)
            answer = await client.get("/extensions/My%20Pack/js/a.js")
            assert await answer.text() == "late" and answer.headers["X-ComfyUI"] == "was here"
            assert (await client.get("/extensions/My Pack/js/b.js")).status == 404
            assert (await client.get("/extensions/Other/js/a.js")).status == 404

    play(scenario())


def test_the_web_folder_of_a_pack_that_was_updated_is_the_one_that_is_served(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "a.js").write_text(folder.name)
    extension_dirs = {"My Pack": str(old)}

    async def scenario() -> None:
        async with browser(extension_dirs=extension_dirs) as client:
            assert await (await client.get("/extensions/My%20Pack/a.js")).text() == "old"
            extension_dirs["My Pack"] = str(new)
            assert await (await client.get("/extensions/My%20Pack/a.js")).text() == "new"
            assert (await client.get("/extensions/My%20Pack/b.js")).status == 404

    play(scenario())
