"""Stands in for the server's side: registers a node while ComfyUI runs and tells the page, as the manager does."""

from pathlib import Path

import nodes
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}
WEB_DIRECTORY = "./js"

SEQUENCE = iter(range(1, 1000))
#: The texts and messages that the extension under test imports; nothing else of ours is there.
PromptServer.instance.routes.static("/comfy-env/web", Path(__file__).with_name("web"))


class LateNode:
    CATEGORY = "late"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"amount": ("INT", {"default": 3}), "title": ("STRING", {"default": "late"})}}

    def run(self, amount, title):
        return (amount,)


@PromptServer.instance.routes.post("/late-nodes")
async def register(request):
    """Body: ``{"nodes": [names], "announce": bool, "scripts": [paths]}``."""
    body = await request.json()
    for name in body["nodes"]:
        nodes.NODE_CLASS_MAPPINGS[name] = type(name, (LateNode,), {})
    if body["announce"]:
        event = {"run": "one", "sequence": next(SEQUENCE), "packs": ["late-nodes"]}
        event |= {"nodes": body["nodes"], "scripts": body["scripts"]}
        PromptServer.instance.send_sync("comfy-env.nodes", event)
    return web.json_response({})


@PromptServer.instance.routes.get("/late-nodes/{name}.js")
async def script(request):
    """A page script that was not there when the page was loaded; the one called "broken" throws."""
    return web.FileResponse(Path(__file__).with_name("late-scripts") / f"{request.match_info['name']}.js")
