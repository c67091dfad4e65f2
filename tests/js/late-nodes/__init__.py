"""Stands in for the server's side: registers a node while ComfyUI runs and tells the page, as the manager does."""

import nodes
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}
WEB_DIRECTORY = "./js"

SEQUENCE = iter(range(1, 1000))


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
    """Body: ``{"nodes": [names], "announce": bool}``."""
    body = await request.json()
    for name in body["nodes"]:
        nodes.NODE_CLASS_MAPPINGS[name] = type(name, (LateNode,), {})
    if body["announce"]:
        event = {"sequence": next(SEQUENCE), "packs": ["late-nodes"], "nodes": body["nodes"]}
        PromptServer.instance.send_sync("comfy-env.nodes", event)
    return web.json_response({})
