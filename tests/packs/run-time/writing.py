"""Nodes that write into what they are given."""

from __future__ import annotations

import json


class WriteWorkflow:
    """Writes into the workflow that ComfyUI saves with a picture, as nodes that show a text do."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "run-time"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"image": ("IMAGE",)},
            "hidden": {"extra_pnginfo": "EXTRA_PNGINFO", "prompt": "PROMPT", "unique_id": "UNIQUE_ID"},
        }

    def run(self, image, extra_pnginfo, prompt, unique_id):
        node = next(n for n in extra_pnginfo["workflow"]["nodes"] if str(n["id"]) == unique_id)
        node["widgets_values"] = ["what the node showed"]
        prompt[unique_id]["_meta"] = {"title": "renamed by the node"}
        return (image,)


class WriteLatent:
    """Replaces an entry of a dict that other nodes hold as well."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"latent": ("LATENT",), "factor": ("FLOAT", {"default": 2.0})}}

    def run(self, latent, factor):
        latent["samples"] = latent["samples"] + factor
        latent["note"] = "written"
        return {"ui": {"mean": [float(latent["samples"].mean())]}}


class WalkGraph:
    """Walks the graph as nodes that take DYNPROMPT do."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "run-time"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "hidden": {"graph": "DYNPROMPT", "unique_id": "UNIQUE_ID"}}

    def run(self, graph, unique_id):
        graph.add_ephemeral_node("made", {"class_type": "EmptyImage", "inputs": {}}, unique_id, unique_id)
        try:
            missing = graph.get_node("nowhere")
        except Exception as error:  # noqa: BLE001  # whatever it is called
            missing = type(error).__name__
        seen = {
            "node": graph.get_node(unique_id)["class_type"][-9:],
            "has": [graph.has_node(unique_id), graph.has_node("made"), graph.has_node("nowhere")],
            "missing": missing,
            "all": sorted(graph.all_node_ids()),
            "made": graph.get_node("made"),
            "parents": [graph.get_parent_node_id("made"), graph.get_parent_node_id(unique_id)],
            "display": graph.get_display_node_id("made"),
            "real": graph.get_real_node_id("made"),
            "original": sorted(graph.get_original_prompt()),
            "is": type(graph).__name__,
        }
        return {"ui": {"seen": [json.dumps(seen)]}}
