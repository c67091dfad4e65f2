"""V3 nodes, given to ComfyUI by an entry point alone."""

from comfy_api.latest import ComfyExtension

from .dynamic import DYNAMIC
from .plain import PLAIN


class Extension(ComfyExtension):
    async def get_node_list(self):
        return [*PLAIN, *DYNAMIC]


async def comfy_entrypoint():
    return Extension()
