"""Nodes of which some stay in ComfyUI's process; the others run where there is neither ComfyUI nor torch."""

from .plain import Expand, Largest, Where
from .sampling.broken import Broken
from .sampling.sampler import Sampler, Surgery

NODE_CLASS_MAPPINGS = {
    "InHostSampler": Sampler,
    "InHostSampleSurgery": Surgery,
    "InHostBroken": Broken,
    "LeanWhere": Where,
    "LeanLargest": Largest,
    "LeanExpand": Expand,
}
