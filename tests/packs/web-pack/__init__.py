"""A pack with all that a pack can have on ComfyUI's web server: routes, files, a page script, a prompt handler."""

import asyncio
import os

from server import PromptServer, web

HERE = os.path.dirname(os.path.realpath(__file__))
WEB_DIRECTORY = os.path.join(HERE, "js")

routes = PromptServer.instance.routes
rewritten = []


class WebPackEcho:
    CATEGORY = "test"
    FUNCTION = "echo"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    def echo(self, text):
        return {"ui": {"text": [text, str(os.getpid())]}}


@routes.get("/web-pack/hello/{name}")
async def hello(request):
    queue = PromptServer.instance.prompt_queue
    return web.json_response(
        {
            "name": request.match_info["name"],
            "pid": os.getpid(),
            "prompts": len(rewritten),
            "left": queue.get_tasks_remaining(),
            "number": PromptServer.instance.number,
            "user_file": PromptServer.instance.user_manager.get_request_user_filepath(request, "x.json"),
        }
    )


@routes.post("/web-pack/upload")
async def upload(request):
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return web.json_response({"size": size})


@routes.get("/web-pack/socket")
async def socket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data.upper())
    return ws


@routes.post("/web-pack/tell")
async def tell(request):
    await asyncio.to_thread(PromptServer.instance.send_sync, "web-pack.told", await request.json())
    return web.Response(status=204)


def rewrite(prompt):
    for node in prompt["prompt"].values():
        if node["class_type"] == "WebPackEcho" and node["inputs"]["text"] == "count":
            rewritten.append(node)
            node["inputs"]["text"] = f"prompt {len(rewritten)}"
    return prompt


PromptServer.instance.app.router.add_static("/web-pack/page", os.path.join(HERE, "page"))
PromptServer.instance.add_on_prompt_handler(rewrite)

NODE_CLASS_MAPPINGS = {"WebPackEcho": WebPackEcho}
