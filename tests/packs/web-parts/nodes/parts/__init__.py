import os

from server import PromptServer, web


class WebPartsNode:
    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return ("",)


@PromptServer.instance.routes.get("/web-parts/pid")
async def pid(request):
    return web.Response(text=str(os.getpid()))


NODE_CLASS_MAPPINGS = {"WebPartsNode": WebPartsNode}
