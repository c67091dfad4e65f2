"""Nodes that colour pictures. IMAGE is an array of shape (batch, height, width, 3), float32 in 0..1."""

import numpy as np
from comfy.utils import ProgressBar

from .surroundings import describe_surroundings

PALETTES = {
    "dusk": ("#0b1026", "#1d2350", "#4a2c6d", "#a33f77", "#ef7b6c", "#ffd9a0"),
    "lagoon": ("#03131f", "#06344a", "#0b6b7c", "#35b0a4", "#a7e3c0", "#fff6d6"),
    "ember": ("#0d0606", "#3a0f12", "#7d1d1d", "#c8481f", "#f39a3d", "#ffeec2"),
}


class GradientMap:
    """The picture's lightness looked up in a palette."""

    CATEGORY = "modern numpy"
    FUNCTION = "colour"
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "ran_in")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "palette": (list(PALETTES), {"default": "dusk"}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}),
            }
        }

    def colour(self, image, palette, strength):
        colours = np.array([hex_to_rgb(code) for code in PALETTES[palette]], dtype=np.float32)
        grey = np.asarray(image) @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
        positions = np.linspace(0, 1, len(colours))
        channels = [np.interp(grey, positions, colours[:, channel]) for channel in range(3)]
        mapped = np.astype(np.stack(channels, axis=-1), np.float32)  # np.astype is new in numpy 2
        mixed = strength * mapped + (1 - strength) * np.asarray(image)
        return (np.clip(mixed, 0, 1).astype(np.float32), describe_surroundings("GradientMap"))


class FinishPicture:
    """Glow around the lights, darker corners, a little grain: what a photograph has and a rendering lacks."""

    CATEGORY = "modern numpy"
    FUNCTION = "finish"
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "ran_in")

    @classmethod
    def INPUT_TYPES(cls):
        amount = {"min": 0.0, "max": 1.0, "step": 0.01}
        return {
            "required": {
                "image": ("IMAGE",),
                "glow": ("FLOAT", {"default": 0.3, **amount}),
                "vignette": ("FLOAT", {"default": 0.4, **amount}),
                "grain": ("FLOAT", {"default": 0.02, **amount}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**32 - 1}),
            }
        }

    def finish(self, image, glow, vignette, grain, seed):
        progress = ProgressBar(3)
        picture = np.asarray(image, dtype=np.float32)
        height, width = picture.shape[1:3]
        lights = np.clip(picture - 0.6, 0, None)
        picture = picture + glow * 3 * blur(lights, radius=max(2, height // 40))
        progress.update(1)
        y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
        picture = picture * (1 - vignette * np.clip(x**2 + y**2, 0, 2) / 2)[None, :, :, None]
        progress.update(1)
        noise = np.random.default_rng(seed).normal(0, grain, size=(1, height, width, 1))
        picture = np.clip(picture + noise, 0, 1).astype(np.float32)
        progress.update(1)
        return (picture, describe_surroundings("FinishPicture"))


def hex_to_rgb(code):
    return [int(code[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def blur(picture, radius):
    """Three box blurs in each direction, which is a Gaussian for the eye."""
    for axis in (1, 2):
        for _ in range(3):
            padding = [(0, 0)] * 4
            padding[axis] = (radius + 1, radius)
            sums = np.cumsum(np.pad(picture, padding, mode="edge"), axis=axis, dtype=np.float64)
            size = picture.shape[axis]
            window = 2 * radius + 1
            ahead = np.take(sums, range(window, window + size), axis=axis)
            behind = np.take(sums, range(size), axis=axis)
            picture = ((ahead - behind) / window).astype(np.float32)
    return picture
