"""Nodes that ask where they are."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

import folder_paths
from comfy.cli_args import LatentPreviewMethod, args
from comfy_execution.utils import get_executing_context
from server import PromptServer

log = logging.getLogger("run-time")


def facts():
    """What a node can know of its run."""
    context, server, seen = get_executing_context(), PromptServer.instance, []
    thread = threading.Thread(target=lambda: seen.append(get_executing_context()))
    thread.start()
    thread.join()
    return {
        "context": list(context) if context is not None else None,
        "context_in_thread": seen[0],
        "client_id": server.client_id,
        "last_node_id": server.last_node_id,
        "last_prompt_id": server.last_prompt_id,
        "args": type(args).__name__,
        "preview_method": [args.preview_method is LatentPreviewMethod.Latent2RGB, str(args.preview_method)],
        "fast": sorted(feature.value for feature in args.fast),
        "port_is_there": isinstance(args.port, int),
        "base_directory": args.base_directory,
        "output": folder_paths.get_output_directory(),
        "loras": folder_paths.folder_names_and_paths["loras"][0],
        "extensions": sorted(folder_paths.supported_pt_extensions),
        "types": sorted(name for name in folder_paths.folder_names_and_paths if name.endswith("_meshes")),
    }


class Ask:
    """Shows what it knows of its run."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls):
        return float("nan")

    def run(self):
        log.warning("a warning of %s", "the pack")
        log.debug("too much detail")
        return {"ui": {"facts": [json.dumps(facts())]}}


class AskAsync(Ask):
    """The same, async."""

    async def run(self):
        await asyncio.sleep(0.01)
        return {"ui": {"facts": [json.dumps(facts())]}}


class TellProgress:
    """Uses every way to tell its progress."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"way": ("STRING",)}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def run(self, way, unique_id):
        getattr(self, way)(unique_id)
        return {"ui": {"way": [way]}}

    def bar_with_picture(self, unique_id):
        from comfy.utils import ProgressBar
        from PIL import Image

        ProgressBar(4).update_absolute(2, 4, ("JPEG", Image.new("RGB", (64, 32), "red"), 512))

    def registry(self, unique_id):
        from comfy_execution.progress import get_progress_state

        get_progress_state().update_progress(unique_id, 3, 5)

    def api(self, unique_id):
        import torch
        from comfy_api.latest import ComfyAPISync

        ComfyAPISync().execution.set_progress(3, 6, preview_image=torch.zeros(1, 8, 8, 3))

    def latent_preview(self, unique_id):
        import comfy.latent_formats
        import latent_preview
        import torch
        from comfy.utils import ProgressBar

        previewer = latent_preview.get_previewer("cpu", comfy.latent_formats.SD15())
        picture = previewer.decode_latent_to_preview_image("JPEG", torch.zeros(1, 4, 8, 8))
        ProgressBar(7).update_absolute(4, 7, picture)


class TellProgressAsync:
    """Tells its progress step by step while another does the same."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"steps": ("INT", {"default": 3})}}

    async def run(self, steps):
        from comfy_api.latest import ComfyAPI, ComfyAPISync

        ComfyAPISync()  # up to 0.3.75 it gives the other its parts
        for step in range(steps):
            await ComfyAPI().execution.set_progress(step + 1, steps)
            await asyncio.sleep(0.02)
        return {"ui": {"steps": [steps]}}
