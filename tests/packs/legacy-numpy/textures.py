"""Nodes that make and change pictures. IMAGE is an array of shape (batch, height, width, 3), float32 in 0..1."""

import numpy as np
from comfy.utils import ProgressBar

from .surroundings import describe_surroundings

DTYPE = np.float_  # numpy 2 removed this name: with the wrong numpy the pack does not even import


class InterferenceTexture:
    """Waves spreading from a few points, added up: a grey texture with a fine grain of rings."""

    CATEGORY = "legacy numpy"
    FUNCTION = "paint"
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "ran_in")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "width": ("INT", {"default": 512, "min": 16, "max": 4096}),
                "height": ("INT", {"default": 512, "min": 16, "max": 4096}),
                "sources": ("INT", {"default": 5, "min": 1, "max": 32}),
                "wavelength": ("FLOAT", {"default": 0.09, "min": 0.005, "max": 1.0, "step": 0.005}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**32 - 1}),
            }
        }

    def paint(self, width, height, sources, wavelength, seed):
        generator = np.random.RandomState(seed)
        points = generator.uniform((-0.2, -0.2), (width / height + 0.2, 1.2), size=(sources, 2))
        y, x = np.mgrid[0:height, 0:width].astype(DTYPE) / height
        level = np.zeros((height, width), dtype=DTYPE)
        progress = ProgressBar(sources)
        for px, py in points:
            distance = np.hypot(x - px, y - py)
            level += np.cos(2 * np.pi * distance / wavelength) * np.exp(-1.6 * distance)
            progress.update(1)
        level = (level - level.min()) / np.ptp(level)
        image = np.repeat(level[None, :, :, None], 3, axis=3).astype(np.float32)
        return (image, describe_surroundings("InterferenceTexture"))


class PosterizeLevels:
    """The picture with each channel rounded to a few levels."""

    CATEGORY = "legacy numpy"
    FUNCTION = "posterize"
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "ran_in")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "levels": ("INT", {"default": 6, "min": 2, "max": 64}),
                "softness": ("FLOAT", {"default": 0.25, "min": 0.0, "max": 1.0, "step": 0.05}),
            }
        }

    def posterize(self, image, levels, softness):
        image = np.asarray(image, dtype=DTYPE)
        steps = np.round(image * (levels - 1)) / (levels - 1)
        mixed = softness * image + (1 - softness) * steps
        return (mixed.astype(np.float32), describe_surroundings("PosterizeLevels"))
